"""A budget is never exceeded by a point, and never withholds one, however many writers use it at once."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, date, datetime
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest
import typer
from typer.testing import CliRunner

from services.cli.budgets import budgets
from services.cli.verify.result import Check
from services.cli.verify.run import verify
from shared.clock import wall_clock
from shared.domain.ids import BudgetId
from shared.domain.program import Programs
from shared.domain.program_budgets import BudgetKey
from shared.domain.tally import Period
from shared.domain.time import DAY_US, Instant, datetime_of, instant_of
from shared.ledger.batch import Batch
from shared.ledger.budgets import BudgetUse, Reach, lock_leases, read_budgets
from shared.ledger.database import Pool, Role, open_pool
from shared.ledger.installation import InstallationError
from shared.ledger.post import post
from shared.ledger.programs import load_programs, register_program
from shared.settings import Settings
from shared.setup import open_ledger
from tests.support.installing import Make, show_to_commands
from tests.support.orders import NOON, consumed, refund_consumed

SHARDS = 4
WRITERS = 8
FUND = 20_000

PROGRAM = f"""\
program: shop
version: 1
effective_from: "2026-01-01T00:00:00Z"
zone: UTC
currency: USD
wallets:
  points: {{spendable: true, expiry: never}}
rules:
  - {{id: base, wallet: points, rate: 1}}
budgets:
  - {{id: fund, points: {FUND}}}
  - {{id: day, points: 1000000, per: day}}
"""


@pytest.fixture
async def settings(make_installation: Make) -> Settings:
    return await make_installation(program=PROGRAM, shards=SHARDS, topics=True)


@pytest.fixture
async def ledger(settings: Settings) -> AsyncIterator[Pool]:
    """A ledger with a connection for each writer."""
    pool = await open_pool(settings.database, Role.WRITER, max_size=WRITERS)
    yield pool
    pool.terminate()


@pytest.fixture
async def programs(ledger: Pool) -> Programs:
    return await load_programs(ledger)


async def held(ledger: Pool) -> int:
    """All points that members have."""
    statement = "SELECT coalesce(sum((balances -> 'points' ->> 'available')::bigint), 0)::bigint FROM accounts"
    return int(await ledger.fetchval(statement))


async def fund(ledger: Pool) -> BudgetUse:
    (use,) = [use for use in await read_budgets(ledger) if use.key.budget_id == "fund"]
    return use


async def differences(settings: Settings) -> set[str]:
    """What a verification finds wrong with the budgets."""
    verified = await verify(settings, topic=False, redis=False)
    assert Check.BUDGETS in {checked.check for checked in verified.checks if checked.compared}
    return {each.sentence for each in verified.differences if each.check is Check.BUDGETS}


async def test_eight_writers_give_a_budget_to_the_last_point_and_no_more(
    settings: Settings, ledger: Pool, programs: Programs
) -> None:
    async def write(writer: int) -> list[int]:
        trimmed = []
        for number in range(10):
            events = [
                consumed(f"{writer}-{number}-{n}", f"m-{(writer * 37 + n) % 97}", cents=[1100]) for n in range(40)
            ]
            posted = await post(ledger, Batch(events=events), programs, SHARDS)
            trimmed.append(posted.outcomes["trimmed"])
        return trimmed

    trimmed = await asyncio.gather(*(write(writer) for writer in range(WRITERS)))
    assert await held(ledger) == FUND
    assert await fund(ledger) == BudgetUse((await fund(ledger)).key, FUND, 0)
    # 1,818 orders of 11 points fit; the next one gets the 2 that are left, and the others nothing.
    assert sum(map(sum, trimmed)) == 1
    assert await ledger.fetchval("SELECT count(*) FROM consumed_events WHERE outcome = 'posted'") == FUND // 11
    assert await differences(settings) == set()


async def test_what_eight_writers_take_back_is_there_again(
    settings: Settings, ledger: Pool, programs: Programs
) -> None:
    async def write(writer: int) -> None:
        for number in range(20):
            keys = [(f"{writer}-{number}-{n}", f"m-{(writer * 37 + n) % 97}") for n in range(40)]
            orders = [consumed(order_id, member_id, cents=[1000]) for order_id, member_id in keys]
            await post(ledger, Batch(events=orders), programs, SHARDS)
            refunds = [refund_consumed(order_id, member_id) for order_id, member_id in keys[::2]]
            await post(ledger, Batch(events=refunds), programs, SHARDS)

    await asyncio.gather(*(write(writer) for writer in range(WRITERS)))
    use = await fund(ledger)
    assert use.used == await held(ledger)
    assert use.used + use.unused <= FUND
    # 6,400 orders of 10 points, half of them given back, are more than there is; and what came back was given again.
    assert use.used >= FUND - WRITERS * 20 * 10
    assert await differences(settings) == set()


async def test_what_fits_is_given_beside_what_never_could_be(make_installation: Make) -> None:
    """A lease has less than 100 of 1,000 points. A batch reaches for the 100 of one order, though another asks for more
    than there is."""
    program = PROGRAM.replace(f"points: {FUND}", "points: 1000, excess: skip")
    settings = await make_installation(program=program, shards=SHARDS)
    async with open_ledger(settings, Role.WRITER) as ledger:
        programs = await load_programs(ledger)
        await post(ledger, Batch(events=[consumed("o-1", cents=[1_000])]), programs, SHARDS)
        assert 0 < (await fund(ledger)).unused < 100
        events = [consumed("o-2", cents=[10_000]), consumed("o-3", cents=[500_000])]
        posted = await post(ledger, Batch(events=events), programs, SHARDS)
        assert posted.outcomes == {"posted": 1, "budget_exhausted": 1}
        assert await held(ledger) == 10 + 100


async def lease(settings: Settings, leased: int, *unused: int) -> None:
    """Lease so many units of the fund, of which leases have left what is said; and the whole of a day's budget."""
    connection = await asyncpg.connect(settings.database)
    await connection.execute(
        "INSERT INTO budgets VALUES ('fund', 'ever', '-infinity', $1), ('day', 'day', '2026-03-10', 1000000)", leased
    )
    await connection.execute("INSERT INTO budget_leases VALUES ('day', 'day', '2026-03-10', $1, 1000000)", uuid4())
    for units in unused:
        await connection.execute(
            "INSERT INTO budget_leases VALUES ('fund', 'ever', '-infinity', $1, $2)", uuid4(), units
        )
    await connection.close()


async def leases(ledger: Pool) -> list[int]:
    """What the leases of the fund have left."""
    rows = await ledger.fetch("SELECT unused FROM budget_leases WHERE budget_id = 'fund' ORDER BY unused")
    return [row["unused"] for row in rows]


async def test_what_others_have_leased_is_taken_over_and_their_leases_end(
    settings: Settings, ledger: Pool, programs: Programs
) -> None:
    """All 20,000 are leased, and three leases have 800 left. An order of 700 takes them all into one lease."""
    await lease(settings, FUND, 500, 200, 100)
    await post(ledger, Batch(events=[consumed("o-1", cents=[70_000])]), programs, SHARDS)
    assert (await fund(ledger)).used == FUND - 800 + 700
    # A 32nd part of the 100 that are left is kept as a lease; the rest is nobody's.
    assert await leases(ledger) == [3]
    posted = await post(ledger, Batch(events=[consumed("o-2", cents=[70_000])]), programs, SHARDS)
    assert posted.outcomes == {"trimmed": 1}
    assert await held(ledger) == 800
    assert (await fund(ledger)).used == FUND


async def test_a_batch_uses_the_fullest_lease_and_leaves_the_others_alone(
    settings: Settings, ledger: Pool, programs: Programs
) -> None:
    await lease(settings, 1_000, 100, 300, 200)
    await post(ledger, Batch(events=[consumed("o-1", cents=[25_000])]), programs, SHARDS)
    assert await leases(ledger) == [50, 100, 200]
    await post(ledger, Batch(events=[refund_consumed("o-1")]), programs, SHARDS)
    # Given back into the fullest of them.
    assert await leases(ledger) == [50, 100, 200 + 250]
    assert (await fund(ledger)).used == 1_000 - 600


async def test_a_lease_that_another_batch_has_is_passed_by(
    settings: Settings, ledger: Pool, programs: Programs
) -> None:
    await lease(settings, 1_000, 300, 200)
    async with ledger.acquire() as other, other.transaction():
        await other.execute("SELECT FROM budget_leases WHERE unused = 300 FOR UPDATE")
        async with asyncio.timeout(30):
            await post(ledger, Batch(events=[consumed("o-1", cents=[15_000])]), programs, SHARDS)
        assert await leases(ledger) == [50, 300]


async def test_budgets_are_locked_in_one_order_by_all_batches(
    settings: Settings, ledger: Pool, until: Callable[..., Awaitable[None]]
) -> None:
    """`day` before `fund`, whatever order the program has: else two batches may wait for each other."""
    day = BudgetKey(BudgetId("day"), Period.DAY, date(2026, 3, 10))
    ever = BudgetKey(BudgetId("fund"), Period.EVER, None)

    async def lock(*keys: BudgetKey) -> None:
        async with ledger.acquire() as connection, connection.transaction():
            await lock_leases(connection, dict.fromkeys(keys, FUND), Reach.UNLEASED)

    await lock(ever, day)
    async with asyncpg.create_pool(settings.postgres, min_size=1, max_size=1) as watcher:

        async def is_waiting() -> bool:
            found = await watcher.fetchval(
                "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = $1",
                settings.installation,
            )
            return bool(found)

        async with ledger.acquire() as first, ledger.acquire() as other:
            transaction = first.transaction()
            await transaction.start()
            await lock_leases(first, {day: FUND}, Reach.UNLEASED)
            locking = asyncio.create_task(lock(ever, day))
            await until(is_waiting)
            await other.execute("SELECT FROM budgets WHERE budget_id = 'fund' FOR UPDATE NOWAIT")
            await transaction.rollback()
    await locking


async def test_each_day_has_a_budget_of_its_own(ledger: Pool, programs: Programs) -> None:
    events = [consumed("o-1", cents=[1000]), consumed("o-2", cents=[500], at=Instant(NOON + DAY_US))]
    await post(ledger, Batch(events=events), programs, SHARDS)
    days = {use.key.first_day: use.used for use in await read_budgets(ledger) if use.key.per is Period.DAY}
    assert days == {datetime_of(NOON).date(): 10, datetime_of(Instant(NOON + DAY_US)).date(): 5}


async def test_no_version_may_have_less_than_is_used(ledger: Pool, programs: Programs) -> None:
    await post(ledger, Batch(events=[consumed("o-1", cents=[100_000])]), programs, SHARDS)
    later = PROGRAM.replace("version: 1", "version: 2").replace("2026-01-01", "2100-01-01")
    async with ledger.acquire() as connection:
        with pytest.raises(InstallationError, match=r"budgets\[0\]\.points: 1,000 are used of 'fund' already"):
            await register_program(connection, later.replace(f"points: {FUND}", "points: 999"), "next.yaml")
        await register_program(connection, later.replace(f"points: {FUND}", "points: 1000"), "next.yaml")


async def test_a_budget_that_was_made_smaller_gives_no_more_than_it_has(ledger: Pool, programs: Programs) -> None:
    """1,000 points are used, and a lease has far more than 100, when a version leaves 1,100 of the budget."""
    await post(ledger, Batch(events=[consumed("o-1", cents=[100_000])]), programs, SHARDS)
    assert (await fund(ledger)).unused > 100
    later = PROGRAM.replace("version: 1", "version: 2").replace("2026-01-01", "2100-01-01")
    async with ledger.acquire() as connection:
        await register_program(connection, later.replace(f"points: {FUND}", "points: 1100"), "next.yaml")
        both = await load_programs(connection)
    at = instant_of(datetime(2100, 1, 2, 12, tzinfo=UTC))
    events = [consumed("o-2", cents=[9_000], at=at), consumed("o-3", cents=[2_000], at=at)]
    posted = await post(ledger, Batch(events=events), both, SHARDS)
    assert posted.outcomes == {"posted": 1, "trimmed": 1}
    assert await held(ledger) == 1_100


async def test_a_verification_finds_what_a_budget_says_wrongly(
    settings: Settings, ledger: Pool, programs: Programs
) -> None:
    await post(ledger, Batch(events=[consumed("o-1", cents=[100_000])]), programs, SHARDS)
    assert await differences(settings) == set()
    await ledger.execute("UPDATE budgets SET leased = leased + 20000 WHERE budget_id = 'fund'")
    assert await differences(settings) == {
        "budget fund, ever: 21000 units are used of it, but the journal comes to 1000",
        f"budget fund, ever: 21000 units are used of it, but it has {FUND}",
    }


async def test_a_command_shows_what_is_used(
    settings: Settings, ledger: Pool, programs: Programs, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    events = [consumed("o-1", cents=[100_000]), consumed("o-2", cents=[50_000], at=Instant(wall_clock()))]
    await post(ledger, Batch(events=events), programs, SHARDS)
    show_to_commands(settings, monkeypatch, tmp_path)
    app = typer.Typer()
    app.command()(budgets)
    runner = CliRunner(env={"COLUMNS": "120"})
    shown = await asyncio.to_thread(lambda: runner.invoke(app, ["--json"]))
    assert shown.exit_code == 0, shown.output
    found = {each["budget"]: (each["size"], each["used"], each["left"]) for each in json.loads(shown.stdout)}
    assert found == {"fund": (FUND, 1_500, FUND - 1_500), "day": (1_000_000, 500, 999_500)}
    table = await asyncio.to_thread(lambda: runner.invoke(app, []))
    assert "1,500" in table.stdout
    assert "18,500" in table.stdout
