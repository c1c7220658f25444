"""What a replay came to, for a person to read."""

from dataclasses import asdict, dataclass

import orjson
from rich.text import Text

from services.cli.config import console
from services.cli.returns import RULE, SEED
from services.cli.tables import Table
from services.cli.verify.result import Check, Verification
from services.cli.verify.run import verify
from shared.domain.ids import Wallet
from shared.domain.model import Bucket
from shared.domain.program import Program
from shared.domain.time import DAY_US, Instant, rfc3339
from shared.ledger.database import Connection, Role, open_pool
from shared.ledger.sql_files import read_sql
from shared.settings import Settings

TOP_MEMBERS = 10
CATEGORIES_SHOWN = 5
EXPIRING_DAYS = (7, 30, 90)
BAR_CELLS = 56
FILLS = "█▓▒░▚·"
COLOURS = ("green", "cyan", "yellow", "magenta", "blue", "white")
OTHER = "other"


@dataclass(frozen=True, slots=True)
class Run:
    """What one run did: events sent, postings that it added, how long it took, and to when time was moved."""

    sent: int
    postings: int
    seconds: float
    until: Instant


@dataclass(frozen=True, slots=True)
class Returns:
    """What was given back, all of it simulated, and what of a wallet's points that took."""

    rule: str
    """How it was simulated, in words."""
    seed: int
    refunds: int
    before_order: int
    """How many of them were told of before their order."""
    taken: dict[str, int]
    """Points by where they were taken from: a bucket, or `other_lots` for those that other orders had earned."""


@dataclass(frozen=True, slots=True)
class Report:
    """What the ledger holds after a run."""

    run: Run
    wallet: Wallet
    outcomes: dict[str, int]
    orders: int
    members: int
    cached_members: int
    given: dict[str, dict[str, int]]
    """Points that rules gave, before caps, budgets and refunds, by month and category."""
    returns: Returns
    top: list[dict[str, int | str]]
    balances: dict[str, dict[str, int]]
    expiring: list[dict[str, int]]
    """Points that will have expired after so many days, and of how many members."""
    differences: list[str]


def statement(name: str) -> str:
    """One of the report's own statements."""
    return read_sql("services.cli", name)


async def make(settings: Settings, program: Program, run: Run) -> Report:
    """Read the report out of the ledger, and verify it. What is in `points-changed` is left to `pointstream verify`."""
    wallet = next(wallet for wallet, policy in program.wallets.items() if policy.spendable)
    verification = await verify(settings, topic=False)
    pool = await open_pool(settings.database, Role.READER, by_key=False)
    try:
        async with pool.acquire() as connection:
            return await _read(connection, program, wallet, run, verification)
    finally:
        pool.terminate()


async def _read(
    connection: Connection, program: Program, wallet: Wallet, run: Run, verification: Verification
) -> Report:
    outcomes = await connection.fetch(statement("count_outcomes"))
    rules = [rule.rule_id for rule in program.rules if rule.wallet == wallet]
    given: dict[str, dict[str, int]] = {}
    for row in await connection.fetch(statement("given_by_month"), str(program.calendar.zone), rules):
        given.setdefault(row["month"], {})[row["category"]] = row["points"]
    (returned,) = await connection.fetch(statement("count_refunds"))
    taken = await connection.fetch(statement("taken_back"), wallet)
    top = await connection.fetch(statement("top_members"), wallet, TOP_MEMBERS)
    instants = [Instant(run.until + days * DAY_US) for days in EXPIRING_DAYS]
    expiring = await connection.fetch(statement("expiring"), wallet, instants)
    balances: dict[str, dict[str, int]] = {}
    for row in await connection.fetch(statement("sum_balances")):
        balances.setdefault(row["wallet"], {})[row["bucket"]] = row["points"]
    return Report(
        run=run,
        wallet=wallet,
        outcomes={row["outcome"]: row["events"] for row in outcomes},
        orders=await connection.fetchval("SELECT count(*) FROM orders"),
        members=verification.compared(Check.VERSIONS),
        cached_members=verification.compared(Check.REDIS),
        given=given,
        returns=Returns(
            RULE,
            SEED,
            returned["refunds"],
            returned["before_order"],
            {row["source"]: row["points"] for row in taken},
        ),
        top=[dict(row) for row in top],
        balances=balances,
        expiring=[
            {"days": days, "points": row["points"], "members": row["members"]}
            for days, row in zip(EXPIRING_DAYS, expiring, strict=True)
        ],
        differences=[difference.sentence for difference in verification.differences],
    )


def as_json(report: Report) -> bytes:
    """The report for a program to read."""
    return orjson.dumps(asdict(report), option=orjson.OPT_INDENT_2)


def show(report: Report) -> None:
    """The report for a person to read."""
    run = report.run
    console.rule("[bold]What the shopping came to")
    console.print(
        f"{report.orders:,} orders of {report.members:,} members, up to {rfc3339(run.until)}.  "
        + ", ".join(f"{outcome}: {events:,}" for outcome, events in report.outcomes.items())
    )
    _show_given(report)
    _show_returns(report)
    _show_top(report)
    _show_expiring(report)
    console.print(
        f"{run.sent:,} events in {run.seconds:.1f} s: {run.sent / run.seconds:,.0f} events/s from the first one read to"
        f" the last one in Kafka and Redis, {run.postings:,} new postings."
    )
    if run.postings == 0:
        console.print("[bold]Nothing changed:[/] every one of these events had been counted before.")
    _show_proof(report)


def _show_given(report: Report) -> None:
    by_category: dict[str, int] = {}
    for categories in report.given.values():
        for category, points in categories.items():
            by_category[category] = by_category.get(category, 0) + points
    shown = sorted(by_category, key=lambda category: -by_category[category])[:CATEGORIES_SHOWN]
    legend = Text("Points that rules gave by month, before caps, budgets and refunds: ")
    for index, category in enumerate([*shown, OTHER]):
        legend.append(f"{FILLS[index] * 2} {category.lower()}  ", style=COLOURS[index])
    most = max((sum(categories.values()) for categories in report.given.values()), default=1)
    table = Table(title=legend, title_justify="left", box=None, show_header=False, padding=(0, 1))
    for month, categories in report.given.items():
        total = sum(categories.values())
        parts = [categories.get(category, 0) for category in shown]
        table.add_row(month, _bar([*parts, total - sum(parts)], most), f"{total:,}")
    console.print(table)


def _bar(parts: list[int], most: int) -> Text:
    """A bar of parts, each as long as its share; rounding errors do not add up along it."""
    bar = Text()
    done = 0
    for index, part in enumerate(parts):
        start, done = done * BAR_CELLS // most, done + part
        bar.append(FILLS[index] * (done * BAR_CELLS // most - start), style=COLOURS[index])
    return bar


_SOURCES = {
    Bucket.PENDING: "while they were pending",
    Bucket.AVAILABLE: "from what the order had earned",
    "other_lots": "from what other orders had earned",
    Bucket.EXPIRED: "had expired by then",
    Bucket.DEBT: "are owed",
}
"""Where points are taken from, in words."""


def _show_returns(report: Report) -> None:
    returns = report.returns
    console.print(
        f"[bold]Simulated returns[/] (the data have none; seed {returns.seed}): {returns.refunds:,} of"
        f" {report.orders:,} orders, {returns.before_order:,} of them told of before their order."
        f" They took {sum(returns.taken.values()):,} points back:",
        highlight=False,
    )
    for source, words in _SOURCES.items():
        console.print(f"  {returns.taken.get(source, 0):>9,} {words}")
    console.print(f"  The rule: {returns.rule}.", style="dim")


def _show_top(report: Report) -> None:
    table = Table(title="Members with the most points", title_justify="left")
    table.add_column("member")
    for bucket in (Bucket.ISSUED, Bucket.AVAILABLE, Bucket.PENDING, Bucket.EXPIRED):
        table.add_column(bucket, justify="right")
    for member in report.top:
        amounts = [f"{member[bucket]:,}" for bucket in ("issued", "available", "pending", "expired")]
        table.add_row(str(member["member_id"]), *amounts)
    console.print(table)


def _show_expiring(report: Report) -> None:
    points = report.balances.get(report.wallet, {})
    console.print(
        f"Of {-points.get(Bucket.ISSUED, 0):,} points issued, {points.get(Bucket.EXPIRED, 0):,} have expired,"
        f" {points.get(Bucket.CLAWED_BACK, 0):,} were taken back, {points.get(Bucket.AVAILABLE, 0):,} are available and"
        f" {points.get(Bucket.PENDING, 0):,} pending."
    )
    for item in report.expiring:
        console.print(
            f"  within {item['days']:>2} days {item['points']:>9,} more expire, of {item['members']:,} members"
        )


def _show_proof(report: Report) -> None:
    if report.differences:
        console.print("[bold red]The books do not agree:")
        for difference in report.differences:
            console.print(f"  {difference}", style="red")
        return
    cached = (
        "Redis"
        if report.cached_members == report.members
        else f"Redis (which has {report.cached_members:,} of {report.members:,} members; it fills as they are read)"
    )
    console.print(f"[bold green]The books agree:[/] movements = balances = open lots = {cached}.")
