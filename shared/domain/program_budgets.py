"""What a program says of budgets: how much some rules may give all members together."""

from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import NamedTuple

from shared.domain.filters import Window
from shared.domain.ids import BudgetId, RuleId
from shared.domain.program_caps import Excess
from shared.domain.tally import Period


class BudgetUnit(StrEnum):
    """In what a budget is counted."""

    POINTS = "points"
    MONEY = "money"
    """In millionths of a minor unit of the program's currency, so that what a point costs is a whole number."""


MONEY_SCALE = 10**6
"""Units of a budget of money in one minor unit."""


class BudgetKey(NamedTuple):
    """Which budget, in which of its periods: the period's first day, None for the only one."""

    budget_id: BudgetId
    per: Period
    first_day: date | None


@dataclass(frozen=True, slots=True)
class Budget:
    """What some rules give together, to all members, in each period, uses no more than `size` units.

    `costs` says how many units a point of each rule uses. With `during` only what happens in that time counts.
    """

    budget_id: BudgetId
    costs: dict[RuleId, int]
    unit: BudgetUnit
    size: int
    per: Period
    excess: Excess
    during: Window | None
