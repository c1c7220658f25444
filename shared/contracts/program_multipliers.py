"""The multipliers of a program document: what makes the points of rules more, for a tier, on a day or in a campaign."""

from collections.abc import Iterable
from fractions import Fraction
from typing import Annotated, Self

from pydantic import ConfigDict, Field, ValidatorFunctionWrapHandler, field_validator, model_validator
from pydantic.config import JsonDict

from shared.contracts.conditions import OrderCondition
from shared.contracts.program_fields import Factor, Name, Part, PartName
from shared.contracts.program_filters import DaysDocument, OrderMatchDocument, WindowDocument
from shared.domain import multiplier as domain
from shared.domain.ids import MultiplierId, RuleId

BIRTHDAY = "birthday"
KINDS = ("factor", "by_tier")
"""How a multiplier may say by how much."""


def _or_birthday(schema: JsonDict) -> None:
    """The document has a word for days that are the member's own."""
    schema["anyOf"] = [{"$ref": schema.pop("$ref")}, {"const": BIRTHDAY}]


class MultiplierDocument(Part):
    """Makes what rules give for an order more: by exactly one of `factor` and `by_tier`, where all else holds."""

    model_config = ConfigDict(json_schema_extra={"oneOf": [{"required": [kind]} for kind in KINDS]})

    id: PartName
    """What the journal calls its part of a rule's points: `base/tier` is what `tier` added to `base`."""
    factor: Factor | None = None
    """By how much it multiplies, like 2, 1.2 or 3/2."""
    by_tier: Annotated[dict[Name, Factor], Field(min_length=1, max_length=100)] | None = None
    """By how much for each tier, of which the one counts that the member holds when the order is paid. Any other: 1."""
    days: Annotated[DaysDocument | None, Field(json_schema_extra=_or_birthday)] = None
    """On which days an order must be paid: `birthday`, or exactly one of days_of_month and weekdays."""
    during: WindowDocument | None = None
    """When an order must be paid; at any time when this is left out."""
    match: OrderMatchDocument = OrderMatchDocument()
    """To which orders it applies; to all when this is left out."""
    when: OrderCondition | None = None
    """A condition in CEL about the order and its member, which is asked when all else holds."""
    rules: Annotated[list[Name], Field(min_length=1)] | None = None
    """The rules that it multiplies; all that have a rate or a step when this is left out."""

    @field_validator("days", mode="wrap")
    @classmethod
    def _birthday(cls, written: object, read: ValidatorFunctionWrapHandler) -> object:
        if isinstance(written, str):
            if written != BIRTHDAY:
                raise ValueError("write birthday, or one of days_of_month and weekdays")
            return DaysDocument.birthday()
        return read(written)

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if (self.factor is None) == (self.by_tier is None):
            raise ValueError(f"give exactly one of {' and '.join(KINDS)}")
        return self

    def to_domain(self, rules: Iterable[str]) -> domain.Multiplier:
        """The multiplier as the core applies it, to these rules."""
        return domain.Multiplier(
            multiplier_id=MultiplierId(self.id),
            factor=self._factor(),
            rules=frozenset(RuleId(rule) for rule in rules),
            match=self.match.to_domain(),
            during=None if self.during is None else self.during.to_domain(),
            days=None if self.days is None else self.days.to_domain(),
            when=self.when,
        )

    def _factor(self) -> domain.Factor | domain.ByTier:
        if self.by_tier is not None:
            return domain.ByTier({tier: _exactly(factor) for tier, factor in self.by_tier.items()})
        return domain.ONE if self.factor is None else _exactly(self.factor)


def _exactly(factor: Fraction) -> domain.Factor:
    return domain.Factor(factor.numerator, factor.denominator)
