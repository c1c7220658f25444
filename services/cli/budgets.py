"""`pointstream budgets`: what is used of each budget, and what is left."""

from dataclasses import dataclass

from rich.progress_bar import ProgressBar

from services.cli.config import console, load_settings
from services.cli.reading import AsJson, InInstallation, echo_json, reading
from services.cli.tables import Table
from shared.contracts.money import EXPONENTS, money
from shared.domain.program import Program
from shared.domain.program_budgets import MONEY_SCALE, Budget, BudgetKey, BudgetUnit
from shared.domain.tally import first_day
from shared.domain.time import Instant
from shared.ledger.budgets import BudgetUse, read_budgets
from shared.reads.documents import Json
from shared.reads.reader import Reader

BAR_WIDTH = 20


@dataclass(frozen=True, slots=True)
class _Standing:
    """A budget in one of its periods, by the version in force, and how much of it is used."""

    key: BudgetKey
    budget: Budget
    used: int


def budgets(as_json: AsJson = False, installation: InInstallation = None) -> None:
    """Show the budgets of the program in force: what is used of each in its present period, and what is left.

    What is leased to workers and not used yet counts as left: whoever needs it gets it.
    """
    settings = load_settings(installation=installation)

    async def find(reader: Reader) -> tuple[list[_Standing], str]:
        async with reader.picture() as (connection, now):
            program = None if now is None else reader.programs.in_force(now)
            if program is None or now is None:
                return [], ""
            return _standings(program, now, await read_budgets(connection)), program.currency

    found, currency = reading(settings, find)
    if as_json:
        echo_json([_document(each, currency) for each in found])
    elif found:
        console.print(_table(found, currency))
    else:
        console.print("The program in force has no budgets.")


def _standings(program: Program, now: Instant, uses: list[BudgetUse]) -> list[_Standing]:
    used = {use.key: use.used for use in uses}
    day = program.calendar.day_of(now)
    found = []
    for budget in program.budgets:
        key = BudgetKey(budget.budget_id, budget.per, first_day(budget.per, budget.during, day, program.calendar))
        found.append(_Standing(key, budget, used.get(key, 0)))
    return found


def _table(found: list[_Standing], currency: str) -> Table:
    table = Table("budget", "per", "since", "size", "used", "left", "")
    for column in table.columns[3:6]:
        column.justify = "right"
    for each in found:
        size = each.budget.size
        amounts = [_amount(units, each.budget.unit, currency) for units in (size, each.used, max(0, size - each.used))]
        since = "" if each.key.first_day is None else each.key.first_day.isoformat()
        bar = ProgressBar(total=size, completed=min(size, each.used), width=BAR_WIDTH)
        table.add_row(each.key.budget_id, each.key.per.value, since, *amounts, bar)
    return table


def _amount(units: int, unit: BudgetUnit, currency: str) -> str:
    """Units of a budget as people write them; of money, what is less than a minor unit is left out."""
    if unit is BudgetUnit.POINTS:
        return f"{units:,}"
    return money(units // MONEY_SCALE, currency)


def _document(each: _Standing, currency: str) -> Json:
    return {
        "budget": each.key.budget_id,
        "per": each.key.per.value,
        "first_day": None if each.key.first_day is None else each.key.first_day.isoformat(),
        "unit": each.budget.unit.value,
        "currency": currency if each.budget.unit is BudgetUnit.MONEY else None,
        "units_in_one": 1 if each.budget.unit is BudgetUnit.POINTS else MONEY_SCALE * 10 ** EXPONENTS[currency],
        "size": each.budget.size,
        "used": each.used,
        "left": max(0, each.budget.size - each.used),
    }
