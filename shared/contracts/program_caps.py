"""What a program document says of caps."""

from typing import Annotated, Final, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from shared.contracts.program_fields import MAX_ORDER_POINTS, Name, Part
from shared.contracts.program_filters import WindowDocument
from shared.domain.ids import CapId, RuleId
from shared.domain.program_caps import Cap, Excess
from shared.domain.tally import Period

MAX_CAPS = 50
"""Every order that earns is held against all of them."""

PER_ORDER: Final = "order"


def _period(per: object) -> object:
    """Names all that it may be; the types would say it in two errors."""
    known = [*Period, PER_ORDER]
    if per not in known:
        raise ValueError(f"write {', '.join(known[:-1])} or {known[-1]}")
    return per


class CapDocument(Part):
    """How many points some rules may give a member together, per period or for one order."""

    id: Name
    """What the ledger calls the cap. Versions that keep it go on with what is used of it."""
    points: Annotated[int, Field(ge=1, le=MAX_ORDER_POINTS)]
    """What the rules give at most."""
    per: Annotated[Period | Literal["order"], BeforeValidator(_period)]
    """In a `day`, a `week` (from Monday on), a `month`, the `campaign` (the time in `during`), `ever`, or for one
    `order`. What is paid counts in the period in which it was paid."""
    rules: Annotated[list[Name], Field(min_length=1)] | None = None
    """The rules, behaviours, streaks and tasks that it holds for, together; or give `wallet`."""
    wallet: Name | None = None
    """Holds for all that give points of this wallet; one for an order, for all rules that do."""
    excess: Excess = Excess.TRIM
    """What is beyond it: `trim` gives what there is room for, `skip` passes over a rule whose points do not fit."""
    during: WindowDocument | None = None
    """When it holds; always when this is left out."""

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if (self.rules is None) == (self.wallet is None):
            raise ValueError("give either rules, or the wallet whose rules it holds for")
        if self.per is Period.CAMPAIGN and self.during is None:
            raise ValueError("what is counted per campaign needs the campaign's time; give it with during")
        return self

    def to_domain(self, rules: list[str]) -> Cap:
        """The cap for the `rules` that it holds for."""
        return Cap(
            cap_id=CapId(self.id),
            rules=frozenset(map(RuleId, rules)),
            per=self.per if isinstance(self.per, Period) else None,
            points=self.points,
            excess=self.excess,
            during=None if self.during is None else self.during.to_domain(),
        )
