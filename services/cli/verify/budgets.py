"""The check of budgets: what leases say is used of each, against what the journal has issued and taken back."""

from collections import Counter
from collections.abc import Sequence

from services.cli.verify import statements
from services.cli.verify.result import Findings
from services.cli.verify.snapshot import QUERY_TIMEOUT_S
from shared.domain.ids import BudgetId
from shared.domain.program import Program
from shared.domain.program_budgets import BudgetKey
from shared.domain.tally import Period, first_day
from shared.domain.time import NEVER, Instant
from shared.ledger.budgets import read_budgets
from shared.ledger.database import Connection

ALWAYS = Instant(-(2**63))
"""Before everything: PostgreSQL's -infinity."""


async def check_budgets(connection: Connection, programs: Sequence[Program], findings: Findings) -> None:
    """Compare all budgets that a version of the program has. It reads the whole journal.

    What a referral gives counts in the period of the order for which it is given, of which the inviter's posting says
    nothing. So budgets that pay referrals are held against the journal only if they have neither periods nor a time.
    """
    sizes: dict[tuple[BudgetId, Period], int] = {}
    untold: set[BudgetId] = set()
    for program in programs:
        referrals = {rule.rule_id for rule in program.referrals}
        for budget in program.budgets:
            size = sizes.get((budget.budget_id, budget.per), 0)
            sizes[budget.budget_id, budget.per] = max(budget.size, size)
            if referrals & budget.costs.keys() and (budget.per is not Period.EVER or budget.during is not None):
                untold.add(budget.budget_id)
    if not sizes:
        return
    used = {use.key: use.used for use in await read_budgets(connection)}
    moved = await _by_journal(connection, programs)
    keys = used.keys() | moved.keys()
    findings.compared = len(keys)
    for key in sorted(keys, key=str):
        period = key.per.value if key.first_day is None else f"{key.per} from {key.first_day} on"
        facts = {"budget_id": key.budget_id, "period": period, "used": used.get(key, 0)}
        if used.get(key, 0) != moved[key] and key.budget_id not in untold:
            findings.add("budget", {**facts, "moved": moved[key]})
        size = sizes.get((key.budget_id, key.per), 0)
        if used.get(key, 0) > size:
            findings.add("budget_exceeded", {**facts, "size": size})


async def _by_journal(connection: Connection, programs: Sequence[Program]) -> Counter[BudgetKey]:
    """The units that the journal used of each budget."""
    rows = [
        (
            program.version,
            rule_id,
            budget.budget_id,
            budget.per.value,
            cost,
            ALWAYS if budget.during is None else budget.during.begins_at,
            NEVER if budget.during is None else budget.during.ends_at,
        )
        for program in programs
        for budget in program.budgets
        for rule_id, cost in budget.costs.items()
    ]
    columns = [list(column) for column in zip(*rows, strict=True)]
    calendar = programs[-1].calendar
    moved: Counter[BudgetKey] = Counter()
    for row in await connection.fetch(statements.BUDGETS_BY_JOURNAL, *columns, timeout=QUERY_TIMEOUT_S):
        budget_id, per, at = BudgetId(row["budget_id"]), Period(row["per"]), row["at"]
        first = None
        if at is not None:
            day = calendar.day_of(at)
            first = day if per is Period.CAMPAIGN else first_day(per, None, day, calendar)
        moved[BudgetKey(budget_id, per, first)] += int(row["units"])
    return moved
