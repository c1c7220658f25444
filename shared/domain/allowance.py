"""The allowance of an event: the caps and budgets that hold for the points that it would give, and what it uses."""

from collections.abc import Mapping

from shared.domain import budget, cap
from shared.domain.budget import Leases
from shared.domain.model import Outcome
from shared.domain.program import Program
from shared.domain.program_budgets import BudgetKey
from shared.domain.room import Points, cut
from shared.domain.tally import Tallies
from shared.domain.time import Instant


class Allowance:
    """What caps and budgets have room for when something happens at an instant."""

    __slots__ = ("_budgets", "_caps", "_tallies")

    def __init__(self, program: Program, at: Instant, tallies: Tallies, leases: Leases) -> None:
        self._caps = cap.rooms(program, at, tallies)
        self._budgets = budget.rooms(program, at, leases)
        self._tallies = tallies

    def cut(self, points: Points) -> Points:
        """How many points of which rules do not fit; the others are used."""
        return cut(points, [room for _, room in self._caps], [room for _, room in self._budgets])

    @property
    def tallies(self) -> Tallies:
        """The tallies of the caps of which something is used, as they are from now on."""
        return {key: self._tallies.get(key, 0) + room.used for key, room in self._caps if key is not None and room.used}

    @property
    def used(self) -> Mapping[BudgetKey, int]:
        """The units that are used of budgets."""
        return {key: room.used for key, room in self._budgets if room.used}

    @property
    def short(self) -> Mapping[BudgetKey, int]:
        """The budgets that cut something, and how many more units each had to have, at least, to give more."""
        return {key: room.short for key, room in self._budgets if room.short}

    @property
    def refusal(self) -> Outcome:
        """What it comes to where nothing fits."""
        return Outcome.BUDGET_EXHAUSTED if any(room.short for _, room in self._budgets) else Outcome.CAPPED
