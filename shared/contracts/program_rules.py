"""What a program document says of the rules that earn by orders."""

from fractions import Fraction
from typing import Annotated, Self

from pydantic import ConfigDict, Field, ValidationInfo, field_validator, model_validator

from shared.contracts.conditions import OrderCondition
from shared.contracts.money import EXPONENTS
from shared.contracts.program_fields import Days, Money, Name, OrderPoints, Part, Points, Rate
from shared.contracts.program_filters import MatchDocument, WindowDocument
from shared.domain import program as domain
from shared.domain.ids import RuleId, Wallet


class PendingDocument(Part):
    """Points wait for the return window: `days` full local days, or with `exact` as many times 24 hours; or until
    something is told of their order."""

    days: Days | None = None
    """Through the end of the day that is so many days after the payment's."""
    until: Name | None = None
    """Until a behaviour of this name tells of the order, such as `delivered`; with days, at the latest then."""
    exact: bool = False
    """Instead for so many times 24 hours from the payment."""

    @model_validator(mode="after")
    def _waits_for_something(self) -> Self:
        if self.days is None and self.until is None:
            raise ValueError("say for how many days, or until which behaviour")
        if self.exact and self.days is None:
            raise ValueError("only days are exact; give some, or leave it out")
        return self

    def to_domain(self) -> domain.Pending:
        return domain.Pending(self.days, self.exact, self.until)


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
            pending=None if self.pending is None else self.pending.to_domain(),
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
