"""The versions of an installation's program: registered once, never changed, and known to every batch that they decide.

A batch counts the versions inside its transaction, and registering one waits until no batch is under way. So each batch
is decided by all versions that were there when it began, and whoever knows fewer learns the rest first
(docs/adr/0011-program-versions.md).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from shared.clock import now_of
from shared.contracts.money import money
from shared.contracts.program import ProgramDocument, parse_program
from shared.contracts.program_succession import obstacles
from shared.domain.program import Programs
from shared.domain.program_budgets import MONEY_SCALE, BudgetUnit
from shared.domain.tally import first_day
from shared.domain.time import SECOND_US, Instant, rfc3339
from shared.ledger import statements
from shared.ledger.budgets import BudgetUse, read_budgets
from shared.ledger.database import Connection, Pool
from shared.ledger.installation import InstallationError

LEAD_US = 60 * SECOND_US
"""How long before its first instant a version must be known, beyond `future_tolerance`: by then every reader has
learned it, and brokers' clocks may differ by so much."""

REGISTER_WAIT_MS = 3_000
"""How long registering waits for the batches that are under way. New ones wait behind it, so it is short."""


class StaleProgramsError(Exception):
    """A version was registered that the worker does not know yet; nothing of the batch was posted."""


async def load_programs(connection: Connection | Pool) -> Programs:
    """All versions of the installation's program."""
    versions = await read_registered(connection)
    if not versions:
        raise InstallationError("no program is registered; run `pointstream init --program FILE` first")
    return Programs([version.document.to_domain() for version in versions])


@dataclass(frozen=True, slots=True)
class Registered:
    """A version as it was written, and since when it is known."""

    document: ProgramDocument
    text: str
    effective_from: Instant
    registered_at: Instant


async def read_registered(connection: Connection | Pool) -> list[Registered]:
    """Every registered version, oldest first."""
    return [
        Registered(
            parse_program(row["document"], f"program version {row['version']}"),
            row["document"],
            row["effective_from"],
            row["registered_at"],
        )
        for row in await connection.fetch(statements.READ_PROGRAMS)
    ]


async def check_programs(connection: Connection, programs: Programs) -> None:
    """Raises `StaleProgramsError` where a version is missing among those known. None can be added until the end of the
    transaction."""
    (counted,) = await connection.fetch(statements.COUNT_PROGRAMS)
    if counted["versions"] != len(programs):
        raise StaleProgramsError("a version of the program was registered")


async def register_program(
    connection: Connection, text: str, name: str, *, only_check: bool = False
) -> ProgramDocument:
    """Make a program's version known; nothing for one that is known and says the same, to the letter.

    Raises `ProgramError` for a document that cannot be used, `InstallationError` for one that cannot follow those that
    are known, or would begin before events which were decided without it, and `asyncpg.LockNotAvailableError` when
    the batches under way take too long.
    """
    document = parse_program(text, name)
    async with connection.transaction():
        await connection.execute(f"SET LOCAL lock_timeout = '{REGISTER_WAIT_MS}ms'")
        # Every batch under way has this table in a weaker mode: from here on there is none.
        await connection.execute("LOCK TABLE programs IN ACCESS EXCLUSIVE MODE")
        known = await connection.fetchval(statements.READ_PROGRAM, document.version)
        if known == text:
            return document
        if known is not None:
            raise InstallationError(
                f"{name}: version {document.version} is registered with other content, and versions never change; give"
                " the changed program a new version and its own effective_from"
            )
        await _check_succession(connection, document, name)
        if not only_check:
            await connection.execute(
                statements.ADD_PROGRAM, document.version, document.to_domain().effective_from, text
            )
    return document


async def _check_succession(connection: Connection, document: ProgramDocument, name: str) -> None:
    known = [version.document for version in await read_registered(connection)]
    begun = await connection.fetchval(statements.HAS_CONSUMED)
    found = obstacles(document, known, begun=begun) + overspent(document, await read_budgets(connection))
    now = await now_of(connection)
    if known and begun and now is not None:
        # No event that happens then can have been decided yet: until now it would have come too early.
        tolerance_us = max(each.future_tolerance for each in [*known, document])
        soonest = Instant(now + tolerance_us + LEAD_US)
        if document.to_domain().effective_from < soonest:
            found.append(
                f"effective_from: events may be decided already that happen then; take {rfc3339(soonest)} or later"
            )
    if found:
        raise InstallationError(f"{name} cannot follow what is registered:\n" + "\n".join(f"  {one}" for one in found))


def overspent(document: ProgramDocument, uses: Sequence[BudgetUse]) -> list[str]:
    """The budgets of a document that are smaller than what is used of them, in the period in which it begins or a later
    one, each with the path of its field."""
    program = document.to_domain()
    begins_on = program.calendar.day_of(program.effective_from)
    found = []
    for index, (budget, written) in enumerate(zip(program.budgets, document.budgets, strict=True)):
        first = first_day(budget.per, budget.during, begins_on, program.calendar)
        for use in uses:
            is_over = first is not None and use.key.first_day is not None and use.key.first_day < first
            if (use.key.budget_id, use.key.per) != (budget.budget_id, budget.per) or is_over or use.used <= budget.size:
                continue
            found.append(
                f"budgets[{index}].{written.unit}: {_amount(use.used, written.unit, document.currency)} are used of"
                f" {written.id!r} already; give it at least so much, or a new one another id"
            )
    return found


def _amount(units: int, unit: BudgetUnit, currency: str) -> str:
    """Units of a budget as a document writes them: points, or money rounded up to a whole minor unit."""
    if unit is BudgetUnit.POINTS:
        return f"{units:,}"
    return money(-(-units // MONEY_SCALE), currency)
