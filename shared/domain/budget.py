"""Budgets: what rules may give all members together (SEMANTICS, Accrual).

A budget is shared by all accounts, and whoever decides has leased some of it (DESIGN 11). What a lease has is for
nobody else, so that a budget is never exceeded however many decide at once. What a refund really takes back is there
again.
"""

from collections.abc import Mapping
from typing import NamedTuple

from shared.domain.ids import RuleId
from shared.domain.program import Program
from shared.domain.program_budgets import Budget, BudgetKey
from shared.domain.room import Room
from shared.domain.time import Instant


class Lease(NamedTuple):
    """What a decision may use of a budget: `unused` units of it, None for all; and how many units are used, or are
    leased to others."""

    unused: int | None
    elsewhere: int

    def after(self, used: int) -> "Lease":
        """The lease when so many units of it are used, or given back where that is below zero."""
        return Lease(None if self.unused is None else self.unused - used, self.elsewhere + used)


Leases = Mapping[BudgetKey, Lease]
"""By budget; of one that is missing nothing was ever used, and all of it may be."""

UNTOUCHED = Lease(None, 0)

NO_LEASES: Leases = {}


def needs(program: Program, at: Instant) -> list[tuple[BudgetKey, Budget]]:
    """The budgets for what happens at an instant."""
    if not program.budgets:
        return []
    keyed = program.keyed_budgets(program.calendar.day_of(at))
    return [(key, each) for key, each in keyed if each.during is None or each.during.holds(at)]


def rooms(program: Program, at: Instant, leases: Leases) -> list[tuple[BudgetKey, Room]]:
    """What the budgets for an instant have room for. One that was made smaller may have less than is leased of it."""
    found = []
    for key, budget in needs(program, at):
        unused, elsewhere = leases.get(key, UNTOUCHED)
        left = budget.size - elsewhere
        left = max(0, left if unused is None else min(unused, left))
        found.append((key, Room(budget.costs, budget.excess, left)))
    return found


def given_back(at: Instant, taken: Mapping[RuleId, int], program: Program) -> dict[BudgetKey, int]:
    """What is used of the budgets when points of what happened at an instant were taken back, by rule: less, so it is
    below zero."""
    used: dict[BudgetKey, int] = {}
    for key, budget in needs(program, at):
        units = sum([points * budget.costs[rule_id] for rule_id, points in taken.items() if rule_id in budget.costs])
        if units:
            used[key] = -units
    return used


def after(leases: Leases, used: Mapping[BudgetKey, int]) -> dict[BudgetKey, Lease]:
    """The leases when some of them were used."""
    return {**leases, **{key: leases.get(key, UNTOUCHED).after(units) for key, units in used.items()}}


def together(one: Mapping[BudgetKey, int], other: Mapping[BudgetKey, int]) -> dict[BudgetKey, int]:
    """What is used of budgets by two parts of one decision."""
    return {**one, **{key: one.get(key, 0) + units for key, units in other.items()}}
