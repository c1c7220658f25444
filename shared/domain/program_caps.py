"""What a program says of caps: how many points some rules may give a member in a period, or for an order."""

from dataclasses import dataclass, field
from enum import StrEnum

from shared.domain.filters import Window
from shared.domain.ids import CapId, RuleId
from shared.domain.tally import Period


class Excess(StrEnum):
    """What becomes of points that a cap has no room for."""

    TRIM = "trim"
    """What there is room for is given."""
    SKIP = "skip"
    """A rule whose points do not fit gives none for the order."""


@dataclass(frozen=True, slots=True)
class Cap:
    """`rules` together give a member no more than `points` in each period, or with None for each order.

    With `during` only what happens in that time counts.
    """

    cap_id: CapId
    rules: frozenset[RuleId]
    per: Period | None
    points: int
    excess: Excess
    during: Window | None
    costs: dict[RuleId, int] = field(init=False, compare=False)
    """What a point of each rule uses of it: one."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "costs", dict.fromkeys(self.rules, 1))
