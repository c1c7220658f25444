"""The program document: YAML for operators, checked as a whole, with errors that name the path in the file."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Self

import yaml
from pydantic import (
    AfterValidator,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from shared.contracts.condition_asking import CelCondition
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
from shared.contracts.program_budgets import MAX_BUDGETS, BudgetDocument, check_budgets
from shared.contracts.program_caps import MAX_CAPS, PER_ORDER, CapDocument
from shared.contracts.program_fields import Duration, Moment, Name, Part, Zone
from shared.contracts.program_multipliers import MultiplierDocument
from shared.contracts.program_referrals import MAX_REFERRALS, ReferralDocument, check_referrals
from shared.contracts.program_rules import RuleDocument
from shared.contracts.program_wallets import WalletDocument
from shared.domain import program as domain
from shared.domain.ids import ProgramVersion, Wallet
from shared.domain.multiplier import Stacking
from shared.domain.time import DAY_US, SECOND_US, Calendar, instant_of

MAX_BYTES = 1 << 20
"""A program is written by people; a larger file is a mistake."""
MAX_RULES = 200
"""Every order meets every rule: more than this is a catalogue, not a program."""
MAX_MULTIPLIERS = 50
"""Every order meets every multiplier."""
MAX_TIERS = 100
"""More steps than any ladder has."""
MAX_STEPS_IN_ALL = 100_000
"""What all conditions may take together, for the largest order: five times what one may."""


class ProgramError(Exception):
    """A program document that cannot be used. The message names the file, the paths and what to do."""


class BaseDocument(Part):
    """What counts beyond the money paid for a line after discounts."""

    tax: bool = False
    """Count the tax of a line too."""
    paid_in_points: bool = False
    """Count what was paid in points for a line too."""
    shipping: bool = False
    """Count what was paid for shipping too, with its tax: by line in proportion to what else counts."""


class TierDocument(Part):
    """A tier that members can hold."""

    id: Name
    """What multipliers call it."""


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
    tiers: list[TierDocument] = Field(default_factory=list, max_length=MAX_TIERS)
    """The tiers that members can hold, the lowest first."""
    stacking: Stacking = Stacking.ADDITIVE
    """What several multipliers come to for one order: 1.2 and 2 are 2.2 if `additive`, 2.4 if `multiplicative`."""
    multipliers: Annotated[list[MultiplierDocument], Field(min_length=1, max_length=MAX_MULTIPLIERS)] = Field(
        default_factory=list
    )
    """What makes the points of rules more, in the order in which it stacks; first of all, the ones by tier."""
    caps: list[CapDocument] = Field(default_factory=list, max_length=MAX_CAPS)
    """How many points rules may give a member together, in a period or for an order."""
    budgets: list[BudgetDocument] = Field(default_factory=list, max_length=MAX_BUDGETS)
    """What rules may give all members together: for the program, or for a campaign."""
    behaviours: list[BehaviourDocument] = Field(default_factory=list, max_length=MAX_BEHAVIOURS)
    """What behaviours give or take that the platform reports: reviews, shares, a completed profile."""
    streaks: list[StreakDocument] = Field(default_factory=list, max_length=MAX_STREAKS)
    """What check-ins on consecutive days give."""
    tasks: list[TaskDocument] = Field(default_factory=list, max_length=MAX_TASKS)
    """Guided steps, such as those of a new member, each paid once."""
    referrals: list[ReferralDocument] = Field(default_factory=list, max_length=MAX_REFERRALS)
    """What members get who invite others, and those whom they invite."""

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

    @field_validator("tiers")
    @classmethod
    def _different(cls, tiers: list[TierDocument]) -> list[TierDocument]:
        names = [tier.id for tier in tiers]
        for index, name in enumerate(names):
            if name in names[:index]:
                raise ValueError(f"{name!r} stands twice; a tier is named once")
        return tiers

    @model_validator(mode="after")
    def _multipliers_fit(self) -> Self:
        rules = [rule.id for rule in self.rules]
        names = set(rules)
        tiers = [tier.id for tier in self.tiers]
        for index, multiplier in enumerate(self.multipliers):
            path = f"multipliers[{index}]"
            if multiplier.id in names:
                raise ValueError(
                    f"{path}.id: {multiplier.id!r} is used twice; give each rule and each multiplier a name of its own"
                )
            for number, rule in enumerate(multiplier.rules or ()):
                if rule not in rules:
                    raise ValueError(f"{path}.rules[{number}]: {rule!r} is not one of {', '.join(rules)}")
            for tier in multiplier.by_tier or ():
                if tier not in tiers:
                    known = f"one of {', '.join(tiers)}" if tiers else "listed in tiers"
                    raise ValueError(
                        f"{path}.by_tier.{tier}: {tier!r} is not {known}; add it there, or correct its name"
                    )
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
            giving = self._giving_for_orders() if cap.per == PER_ORDER else self.giving()
            for number, rule in enumerate(cap.rules or ()):
                if rule not in giving:
                    what = "rule that earns by orders" if cap.per == PER_ORDER else "rule, behaviour, streak or task"
                    raise ValueError(f"{path}.rules[{number}]: {rule!r} is no {what} that gives points")
            if not self.capped_by(cap):
                raise ValueError(f"{path}.wallet: no rule gives points of {cap.wallet!r}; leave the cap out")
            taken.add(cap.id)
        return self

    def _giving_for_orders(self) -> dict[str, str]:
        return {rule.id: rule.wallet for rule in self.rules}

    def giving(self) -> dict[str, str]:
        """All that gives points, with the wallet: rules, behaviours that do not take some, streaks and tasks."""
        habits: list[PayingDocument] = [
            *(behaviour for behaviour in self.behaviours if behaviour.points > 0),
            *self.streaks,
            *self.tasks,
        ]
        return self._giving_for_orders() | {habit.id: habit.wallet for habit in habits}

    def capped_by(self, cap: CapDocument) -> list[str]:
        """What it holds for."""
        giving = self._giving_for_orders() if cap.per == PER_ORDER else self.giving()
        return cap.rules or [name for name, wallet in giving.items() if wallet == cap.wallet]

    def paying(self) -> dict[str, frozenset[str]]:
        """All that budgets can pay, with the wallets: what gives points, and referrals."""
        found = {name: frozenset({wallet}) for name, wallet in self.giving().items()}
        for referral in self.referrals:
            found[referral.id] = frozenset(reward.wallet for reward in referral.rewards.values())
        return found

    @model_validator(mode="after")
    def _budgets_fit(self) -> Self:
        check_budgets(self.budgets, self.paying(), self.wallets, self.currency)
        return self

    @model_validator(mode="after")
    def _behaviours_fit(self) -> Self:
        parts: Mapping[str, Sequence[PayingDocument]] = {
            "behaviours": self.behaviours,
            "streaks": self.streaks,
            "tasks": self.tasks,
        }
        names = [*(rule.id for rule in self.rules), *(multiplier.id for multiplier in self.multipliers)]
        names += [cap.id for cap in self.caps]
        for index, budget in enumerate(self.budgets):
            if budget.id in names:
                raise ValueError(
                    f"budgets[{index}].id: {budget.id!r} is used twice; give each budget a name of its own"
                )
            names.append(budget.id)
        check_fit(parts, names, self.wallets)
        names += [document.id for documents in parts.values() for document in documents]
        check_referrals(self.referrals, names, self.wallets, EXPONENTS[self.currency])
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
            budgets=tuple(each.to_domain(self.paying(), self.wallets, self.currency) for each in self.budgets),
            behaviours=tuple(behaviour.to_domain() for behaviour in self.behaviours),
            streaks=tuple(streak.to_domain() for streak in self.streaks),
            tasks=tuple(task.to_domain() for task in self.tasks),
            referrals=tuple(referral.to_domain(10 ** EXPONENTS[self.currency]) for referral in self.referrals),
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


_WORDS = {
    "extra_forbidden": "there is no such field; correct its name, or leave it out",
    "model_type": "write fields with their values, like id: base",
}
"""For messages of pydantic that do not say what to do, or speak of classes."""


def _lines(error: ValidationError) -> list[str]:
    lines = []
    for item in error.errors(include_url=False):
        message = _WORDS.get(item["type"]) or item["msg"].removeprefix("Value error, ")
        path = _path(list(item["loc"]))
        lines.append(f"  {path}: {message}" if path else f"  {message}")
    return list(dict.fromkeys(lines))


def _path(parts: list[int | str]) -> str:
    text = ""
    for part in parts:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text
