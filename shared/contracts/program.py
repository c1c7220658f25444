"""The program document: YAML for operators, checked as a whole, with errors that name the path in the file."""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Self

import yaml
from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic.config import JsonDict

from shared.contracts.conditions import CelCondition, OrderCondition
from shared.contracts.money import EXPONENTS
from shared.contracts.program_behaviours import (
    MAX_BEHAVIOURS,
    MAX_STREAKS,
    MAX_TASKS,
    BehaviourDocument,
    PayingDocument,
    StreakDocument,
    TaskDocument,
    check_fit,
)
from shared.contracts.program_caps import MAX_CAPS, CapDocument
from shared.contracts.program_fields import Days, Duration, Moment, Money, Name, OrderPoints, Part, Points, Rate, Zone
from shared.contracts.program_filters import MatchDocument, WindowDocument
from shared.contracts.program_multipliers import MultiplierDocument
from shared.domain import program as domain
from shared.domain.ids import ProgramVersion, RuleId, Wallet
from shared.domain.multiplier import Stacking
from shared.domain.time import DAY_US, SECOND_US, Calendar, instant_of

MAX_BYTES = 1 << 20
"""A program is written by people; a larger file is a mistake."""
MAX_RULES = 200
"""Every order meets every rule: more than this is a catalogue, not a program."""
MAX_MULTIPLIERS = 50
"""Every order meets every multiplier."""
MAX_STEPS_IN_ALL = 100_000
"""What all conditions may take together, for the largest order: five times what one may."""
NEVER = "never"


class ProgramError(Exception):
    """A program document that cannot be used. The message names the file, the paths and what to do."""


class ExpiryDocument(Part):
    """How long points are good: exactly one of `days`, `months` or `end_of_year`."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1, "maxProperties": 1})

    days: Days | None = None
    """So many days after the one on which they become active, to its end."""
    months: Annotated[int, Field(ge=1, le=1200)] | None = None
    """So many months after that day, to the end of the day; 31 January + 1 is 28 February."""
    end_of_year: Annotated[int, Field(ge=0, le=100)] | None = None
    """To the end of the year in which they become active (0), or so many years later."""

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if len(self.model_fields_set) != 1:
            raise ValueError("give exactly one of days, months or end_of_year, or write never")
        return self

    def to_domain(self) -> domain.Expiry:
        if self.days is not None:
            return domain.AfterDays(self.days)
        if self.months is not None:
            return domain.AfterMonths(self.months)
        return domain.EndOfYear(self.end_of_year or 0)


def _with_never(schema: JsonDict) -> None:
    """The document says `never` where we have None."""
    schema["anyOf"] = [{"$ref": schema.pop("$ref")}, {"const": NEVER}]


class WalletDocument(Part):
    """A wallet: spendable points, or a counter such as growth."""

    spendable: bool
    """Points to spend, kept in lots; or a counter that only grows and shrinks, like growth value."""
    expiry: Annotated[ExpiryDocument | None, Field(json_schema_extra=_with_never)]
    """`never`, or exactly one of days, months and end_of_year."""

    @field_validator("expiry", mode="before")
    @classmethod
    def _never(cls, written: object) -> object:
        if isinstance(written, str):
            if written != NEVER:
                raise ValueError("write never, or one of days, months or end_of_year")
            return None
        return written

    def to_domain(self, wallet: Wallet) -> domain.WalletPolicy:
        expiry = domain.Never() if self.expiry is None else self.expiry.to_domain()
        return domain.WalletPolicy(wallet, self.spendable, expiry)


class PendingDocument(Part):
    """Points wait for the return window: `days` full local days, or with `exact` as many times 24 hours."""

    days: Days
    """Through the end of the day that is so many days after the payment's."""
    exact: bool = False
    """Instead for so many times 24 hours from the payment."""


class StepDocument(Part):
    """Points for every full amount of money."""

    every: Money
    """Units of the currency, like 2 or 19.90."""
    points: Points
    """For each time that the counted lines have it in full."""


class ThresholdDocument(Part):
    """Points once, from an amount of money on."""

    from_: Annotated[Money, Field(alias="from")]
    """Units of the currency that the counted lines must come to, like 200."""
    points: Points
    """Given once an order."""
    on_refund: domain.OnRefund = domain.OnRefund.RECOMPUTE
    """When something is given back: `recompute` takes the points as soon as what remains is below the amount, `prorata`
    takes them by line, `keep` leaves them while half of what was counted remains."""


KINDS = ("rate", "step", "threshold", "per_item")
"""How a rule may say how much it gives."""


class RuleDocument(Part):
    """One earning rule: exactly one of `rate`, `step`, `threshold` and `per_item` says how much it gives."""

    model_config = ConfigDict(json_schema_extra={"oneOf": [{"required": [kind]} for kind in KINDS]})

    id: Name
    """What the journal calls the rule."""
    wallet: Name
    """Where its points go: one of `wallets`."""
    rate: Rate | None = None
    """Points for each unit of the currency, like 1.2 or 6/5. An order's points are rounded down once, for all lines."""
    step: StepDocument | None = None
    """Points for every full amount that the counted lines come to: 10 for every 2.00 are 30 for 7.00."""
    threshold: ThresholdDocument | None = None
    """Points once, for an order whose counted lines come to an amount."""
    per_item: Points | None = None
    """Points for every piece of the counted lines, whatever it cost."""
    match: MatchDocument = MatchDocument()
    """To what it applies; to everything when this is left out."""
    during: WindowDocument | None = None
    """When an order must have been paid; at any time when this is left out."""
    group: Name | None = None
    """One of `groups`: of its rules only one gives its points for an order."""
    first_order: bool = False
    """Only for the first order of a member that is accepted."""
    when: OrderCondition | None = None
    """A condition in CEL about the order and its member, which is asked when all else holds."""
    at_least: Points | None = None
    """Whole points: what it gives for an order when it gives some, but less than this."""
    at_most: OrderPoints | None = None
    """Whole points: what it gives for an order when that would be more, with all that multiplies it."""
    pending: PendingDocument | None = None
    """How long its points wait before they can be spent; not at all when this is left out."""

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        given = [kind for kind in KINDS if getattr(self, kind) is not None]
        if len(given) != 1:
            raise ValueError(f"give exactly one of {', '.join(KINDS)}; here are {' and '.join(given) or 'none'}")
        return self

    @field_validator("at_most")
    @classmethod
    def _limits_fit(cls, at_most: int | None, info: ValidationInfo) -> int | None:
        at_least = info.data.get("at_least")
        if at_most is not None and at_least is not None and at_least > at_most:
            raise ValueError(f"it is less than at_least, which is {at_least}; nothing could be both")
        return at_most

    def money(self) -> tuple[str, Fraction] | None:
        """The amount of money that the rule speaks of, with its path in the rule; None where there is none."""
        if self.step is not None:
            return "step.every", self.step.every
        if self.threshold is not None:
            return "threshold.from", self.threshold.from_
        return None

    def to_domain(self, currency: str) -> domain.Rule:
        """The rule as the core applies it; its amounts are in minor units of `currency`."""
        return domain.Rule(
            rule_id=RuleId(self.id),
            wallet=Wallet(self.wallet),
            earning=self._earning(10 ** EXPONENTS[currency]),
            match=self.match.to_domain(),
            pending=None if self.pending is None else domain.Pending(self.pending.days, self.pending.exact),
            during=None if self.during is None else self.during.to_domain(),
            group=self.group,
            first_order=self.first_order,
            at_least=self.at_least or 0,
            at_most=self.at_most,
            when=self.when,
        )

    def _earning(self, minor_units: int) -> domain.Earning:
        if self.rate is not None:
            return domain.Rate(self.rate.numerator, self.rate.denominator)
        if self.step is not None:
            return domain.Step(int(self.step.every * minor_units), self.step.points)
        if self.threshold is not None:
            at_least = int(self.threshold.from_ * minor_units)
            return domain.Threshold(at_least, self.threshold.points, self.threshold.on_refund)
        return domain.PerItem(self.per_item or 0)


class BaseDocument(Part):
    """What counts beyond the money paid for a line after discounts."""

    tax: bool = False
    """Count the tax of a line too."""
    paid_in_points: bool = False
    """Count what was paid in points for a line too."""
    shipping: bool = False
    """Count what was paid for shipping too, with its tax: by line in proportion to what else counts."""


class RefundsDocument(Part):
    """How the points of what is given back are taken back."""

    shortfall: domain.Shortfall = domain.Shortfall.DEBT
    """When the member has spent them: `debt` is owed and repaid by the next points, `clip` writes them off, and
    `cash_offset` tells the shop to keep their worth."""
    wait: Duration = 30 * DAY_US
    """How long a refund may wait for its order before it is listed as an orphan."""


def _known_currency(code: str) -> str:
    if code not in EXPONENTS:
        raise ValueError(f"{code!r} is not an ISO 4217 code; use one like USD")
    return code


class ProgramDocument(Part):
    """The whole document; `to_domain` gives what the core works with."""

    program: Name
    """The program's name, the same in all of its versions."""
    version: Annotated[int, Field(ge=1, le=1_000_000)]
    """Counts up; a version never changes once it is registered."""
    effective_from: Moment
    """It decides what happens from this instant on, until the next version does."""
    zone: Zone
    """The IANA zone whose days, months and years count."""
    currency: Annotated[str, AfterValidator(_known_currency)]
    """The ISO 4217 code of the money that rules count; orders in another one are refused."""
    base: BaseDocument = BaseDocument()
    """What of a line counts beyond the money paid for it after discounts, without tax."""
    allowed_lateness: Duration = 60 * SECOND_US
    """How much later than it happened an event may arrive and still move points at its own instant."""
    late_tolerance: Duration = 30 * DAY_US
    """An order that arrives later than this after its payment is refused."""
    future_tolerance: Duration = 300 * SECOND_US
    """An order whose payment lies further ahead of its arrival is refused."""
    refunds: RefundsDocument = RefundsDocument()
    """What becomes of an order's points when something of it is given back."""
    wallets: Annotated[dict[Name, WalletDocument], Field(min_length=1, max_length=20)]
    """The kinds of points, by name."""
    rules: Annotated[list[RuleDocument], Field(min_length=1, max_length=MAX_RULES)]
    """What gives points. All that match an order give theirs, but for those of a group."""
    groups: dict[Name, domain.Choice] = Field(default_factory=dict)
    """Exclusive groups of rules, by name: which rule of each gives its points for an order, `first` or `best`."""
    stacking: Stacking = Stacking.ADDITIVE
    """What several multipliers come to for one order: 1.2 and 2 are 2.2 if `additive`, 2.4 if `multiplicative`."""
    multipliers: Annotated[list[MultiplierDocument], Field(min_length=1, max_length=MAX_MULTIPLIERS)] = Field(
        default_factory=list
    )
    """What makes the points of rules more, in the order in which it stacks; first of all, the ones by tier."""
    caps: list[CapDocument] = Field(default_factory=list, max_length=MAX_CAPS)
    """How many points rules may give a member together, in a period or for an order."""
    behaviours: list[BehaviourDocument] = Field(default_factory=list, max_length=MAX_BEHAVIOURS)
    """What behaviours give or take that the platform reports: reviews, shares, a completed profile."""
    streaks: list[StreakDocument] = Field(default_factory=list, max_length=MAX_STREAKS)
    """What check-ins on consecutive days give."""
    tasks: list[TaskDocument] = Field(default_factory=list, max_length=MAX_TASKS)
    """Guided steps, such as those of a new member, each paid once."""

    @model_validator(mode="after")
    def _rules_fit(self) -> Self:
        seen: set[str] = set()
        for index, rule in enumerate(self.rules):
            if rule.id in seen:
                raise ValueError(f"rules[{index}].id: {rule.id!r} is used twice; give each rule a name of its own")
            if rule.wallet not in self.wallets:
                raise ValueError(f"rules[{index}].wallet: {rule.wallet!r} is not one of {', '.join(self.wallets)}")
            seen.add(rule.id)
        return self

    @model_validator(mode="after")
    def _money_fits(self) -> Self:
        digits = EXPONENTS[self.currency]
        for index, rule in enumerate(self.rules):
            if (money := rule.money()) is not None and (money[1] * 10**digits).denominator != 1:
                raise ValueError(f"rules[{index}].{money[0]}: {self.currency} has {digits} decimals, and this has more")
        return self

    @model_validator(mode="after")
    def _groups_fit(self) -> Self:
        wallets: dict[str, str] = {}
        for index, rule in enumerate(self.rules):
            if rule.group is None:
                continue
            if rule.group not in self.groups:
                raise ValueError(
                    f"rules[{index}].group: {rule.group!r} is not in groups; add it there with first or best"
                )
            if wallets.setdefault(rule.group, rule.wallet) != rule.wallet:
                raise ValueError(f"rules[{index}].group: the rules of {rule.group!r} must give points of one wallet")
        unused = [name for name in self.groups if name not in wallets]
        if unused:
            raise ValueError(f"groups.{unused[0]}: no rule is in it; give it to a rule, or leave it out")
        return self

    @model_validator(mode="after")
    def _multipliers_fit(self) -> Self:
        rules = [rule.id for rule in self.rules]
        names = set(rules)
        for index, multiplier in enumerate(self.multipliers):
            path = f"multipliers[{index}]"
            if multiplier.id in names:
                raise ValueError(
                    f"{path}.id: {multiplier.id!r} is used twice; give each rule and each multiplier a name of its own"
                )
            for number, rule in enumerate(multiplier.rules or ()):
                if rule not in rules:
                    raise ValueError(f"{path}.rules[{number}]: {rule!r} is not one of {', '.join(rules)}")
            if not self.multiplied_by(multiplier):
                raise ValueError(f"{path}: no rule has a rate or a step; name in rules what it multiplies")
            names.add(multiplier.id)
        return self

    def multiplied_by(self, multiplier: MultiplierDocument) -> list[str]:
        """The rules that it multiplies."""
        if multiplier.rules is not None:
            return multiplier.rules
        return [rule.id for rule in self.rules if rule.rate is not None or rule.step is not None]

    @model_validator(mode="after")
    def _caps_fit(self) -> Self:
        taken = {*(rule.id for rule in self.rules), *(multiplier.id for multiplier in self.multipliers)}
        for index, cap in enumerate(self.caps):
            path = f"caps[{index}]"
            if cap.id in taken:
                raise ValueError(f"{path}.id: {cap.id!r} is used twice; give each cap and each rule a name of its own")
            if cap.wallet is not None and cap.wallet not in self.wallets:
                raise ValueError(f"{path}.wallet: {cap.wallet!r} is not one of {', '.join(self.wallets)}")
            for number, rule in enumerate(cap.rules or ()):
                if rule not in {each.id for each in self.rules}:
                    raise ValueError(f"{path}.rules[{number}]: {rule!r} is no rule that earns by orders")
            if not self.capped_by(cap):
                raise ValueError(f"{path}.wallet: no rule gives points of {cap.wallet!r}; leave the cap out")
            taken.add(cap.id)
        return self

    def capped_by(self, cap: CapDocument) -> list[str]:
        """The rules that it holds for."""
        return cap.rules or [rule.id for rule in self.rules if rule.wallet == cap.wallet]

    @model_validator(mode="after")
    def _behaviours_fit(self) -> Self:
        parts: Mapping[str, Sequence[PayingDocument]] = {
            "behaviours": self.behaviours,
            "streaks": self.streaks,
            "tasks": self.tasks,
        }
        names = [*(rule.id for rule in self.rules), *(multiplier.id for multiplier in self.multipliers)]
        names += [cap.id for cap in self.caps]
        check_fit(parts, names, self.wallets)
        return self

    @model_validator(mode="after")
    def _conditions_fit(self) -> Self:
        given: list[tuple[str, CelCondition | None]] = [
            *((f"rules[{index}]", rule.when) for index, rule in enumerate(self.rules)),
            *((f"multipliers[{index}]", multiplier.when) for index, multiplier in enumerate(self.multipliers)),
            *((f"behaviours[{index}]", behaviour.when) for index, behaviour in enumerate(self.behaviours)),
        ]
        steps = 0
        for path, condition in given:
            steps += 0 if condition is None else condition.steps
            if steps > MAX_STEPS_IN_ALL:
                raise ValueError(
                    f"{path}.when: with this one, the conditions may take {steps:,} steps together for the largest"
                    f" order, and at most {MAX_STEPS_IN_ALL:,} will do; use filters where they can say it"
                )
        return self

    def to_domain(self) -> domain.Program:
        """The program as the core decides with it."""
        return domain.Program(
            version=ProgramVersion(self.version),
            effective_from=instant_of(self.effective_from),
            calendar=Calendar(self.zone),
            currency=self.currency,
            base=domain.Base(self.base.tax, self.base.paid_in_points, self.base.shipping),
            wallets={Wallet(name): wallet.to_domain(Wallet(name)) for name, wallet in self.wallets.items()},
            rules=tuple(rule.to_domain(self.currency) for rule in self.rules),
            groups=dict(self.groups),
            refunds=domain.Refunds(self.refunds.shortfall, self.refunds.wait),
            allowed_lateness_us=self.allowed_lateness,
            late_tolerance_us=self.late_tolerance,
            future_tolerance_us=self.future_tolerance,
            stacking=self.stacking,
            multipliers=tuple(each.to_domain(self.multiplied_by(each)) for each in self.multipliers),
            caps=tuple(each.to_domain(self.capped_by(each)) for each in self.caps),
            behaviours=tuple(behaviour.to_domain() for behaviour in self.behaviours),
            streaks=tuple(streak.to_domain() for streak in self.streaks),
            tasks=tuple(task.to_domain() for task in self.tasks),
        )


class _TextLoader(yaml.SafeLoader):
    """Leaves every scalar as the text that stands in the file: a rate of 1.2 must not become a float on the way."""

    yaml_implicit_resolvers = {}  # noqa: RUF012 - the name and the form are PyYAML's

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[object, object]:
        keys: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in keys:
                    raise yaml.constructor.ConstructorError(None, None, f"{key.value!r} stands twice", key.start_mark)
                keys.add(key.value)
        return dict(super().construct_mapping(node, deep))


def parse_program(text: str, name: str = "program") -> ProgramDocument:
    """Check a program document. `name` is how messages call it, usually the file's path.

    Raises `ProgramError` with every path that is wrong.
    """
    try:
        tree = yaml.load(text, Loader=_TextLoader)  # noqa: S506 - a SafeLoader
    except (yaml.YAMLError, RecursionError) as error:
        reason = str(error) if isinstance(error, yaml.YAMLError) else "it is nested too deeply"
        raise ProgramError(f"{name} is not valid YAML: {reason}") from error
    try:
        return ProgramDocument.model_validate(tree)
    except ValidationError as error:
        raise ProgramError(f"{name} cannot be used:\n" + "\n".join(_lines(error))) from error


def read_program(path: Path) -> tuple[ProgramDocument, str]:
    """The document in a file, and its text as it stands there."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ProgramError(f"{path} is larger than {MAX_BYTES} bytes; a program is a short document")
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ProgramError(f"{path} cannot be read: {error}") from error
    return parse_program(text, str(path)), text


def _lines(error: ValidationError) -> list[str]:
    lines = []
    for item in error.errors(include_url=False):
        message = item["msg"].removeprefix("Value error, ")
        path = _path(list(item["loc"]))
        lines.append(f"  {path}: {message}" if path else f"  {message}")
    return list(dict.fromkeys(lines))


def _path(parts: list[int | str]) -> str:
    text = ""
    for part in parts:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text
