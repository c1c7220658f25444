"""A new version of the program decides from its first instant on, in every worker, with nobody restarted."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path

import asyncpg
import pytest
from structlog.testing import capture_logs

from services.earn.app import ingest
from shared.clock import wall_clock
from shared.domain.time import DAY_US, SECOND_US, Instant, datetime_of, rfc3339
from shared.ledger import programs as ledger_programs
from shared.ledger.batch import Batch
from shared.ledger.database import Pool, Role, writing
from shared.ledger.installation import Clock, InstallationError, set_replay_now
from shared.ledger.post import Poster, post
from shared.ledger.programs import LEAD_US, StaleProgramsError, check_programs, load_programs, register_program
from shared.reads import reader as reader_module
from shared.settings import ORDER_PAID, Settings
from shared.setup import open_ledger
from tests.integration.test_commands import GROCERY, pointstream
from tests.support.installing import Make
from tests.support.orders import NOON, consumed, data_of, event_of
from tests.support.running import running, send_at

SHARDS = 4
FUTURE_TOLERANCE_US = 300 * SECOND_US
FIRST = GROCERY.read_text()

Until = Callable[[Callable[[], Awaitable[bool]]], Awaitable[None]]


def second(at: Instant, rate: str = "3") -> str:
    """The grocer's second version: another base rate from an instant on."""
    text = FIRST.replace("version: 1", "version: 2").replace("2017-01-01T00:00:00Z", rfc3339(at))
    return text.replace("rate: 1\n", f"rate: {rate}\n", 1)


async def register(ledger: Pool, text: str) -> None:
    async with ledger.acquire() as connection:
        await register_program(connection, text, "second.yaml")


async def refusal(ledger: Pool, text: str) -> str:
    with pytest.raises(InstallationError) as caught:
        await register(ledger, text)
    return str(caught.value)


async def issued(ledger: Pool) -> dict[str, tuple[int, int]]:
    """By order: the version that decided it, and what the base rule gave."""
    rows = await ledger.fetch(
        "SELECT p.order_id, p.program_version, m.amount FROM postings AS p JOIN movements AS m USING (shard, pos)"
        " WHERE m.rule_id = 'base'"
    )
    return {row["order_id"]: (row["program_version"], row["amount"]) for row in rows}


async def test_a_running_worker_decides_by_a_version_that_came_meanwhile(make_installation: Make, until: Until) -> None:
    settings = await make_installation(clock=Clock.REPLAY, topics=True)
    at = Instant(NOON + DAY_US)

    async def order(order_id: str, paid_at: Instant) -> None:
        await send_at(settings, ORDER_PAID, event_of(data_of(order_id, cents=[1000], at=paid_at)), paid_at)

    async with open_ledger(settings, Role.WRITER) as ledger, running(ingest(settings)):

        def has(count: int) -> Callable[[], Awaitable[bool]]:
            async def check() -> bool:
                return len(await issued(ledger)) == count

            return check

        await order("before", NOON)
        await until(has(1))
        async with ledger.acquire() as connection:
            await set_replay_now(connection, NOON)
        await register(ledger, second(at))
        await order("still-before", Instant(at - 1_000))
        await order("at-once", at)
        await until(has(3))
        assert await issued(ledger) == {"before": (1, 10), "still-before": (1, 10), "at-once": (2, 30)}


async def test_a_batch_that_does_not_know_every_version_posts_nothing(ledger: Pool) -> None:
    old = await load_programs(ledger)
    await register(ledger, second(Instant(NOON - DAY_US)))
    with pytest.raises(StaleProgramsError):
        await post(ledger, Batch(events=[consumed("o-1")]), old, SHARDS)
    assert await ledger.fetchval("SELECT count(*) FROM consumed_events") == 0
    poster = Poster(ledger, old, SHARDS)
    assert (await poster.post(Batch(events=[consumed("o-1")]))).postings == 1
    assert await issued(ledger) == {"o-1": (2, 30)}


async def test_a_version_waits_for_the_batches_under_way_and_the_next_ones_for_it(
    settings: Settings, ledger: Pool, until: Until
) -> None:
    old = await load_programs(ledger)

    async def one_waits() -> bool:
        async with asyncpg.create_pool(settings.postgres, min_size=1, max_size=1) as watcher:
            return bool(
                await watcher.fetchval(
                    "SELECT count(*) = 1 FROM pg_locks AS l JOIN pg_database AS d ON d.oid = l.database"
                    " WHERE d.datname = $1 AND NOT granted",
                    settings.installation,
                )
            )

    async with writing(ledger) as connection:
        await check_programs(connection, old)
        registering = asyncio.create_task(register(ledger, second(Instant(NOON - DAY_US))))
        await until(one_waits)
        assert not registering.done()
        posting = asyncio.create_task(Poster(ledger, old, SHARDS).post(Batch(events=[consumed("o-1")])))
    await registering
    await posting
    assert await issued(ledger) == {"o-1": (2, 30)}


async def test_a_version_that_the_workers_do_not_let_in_changes_nothing(
    ledger: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_programs, "REGISTER_WAIT_MS", 50)
    old = await load_programs(ledger)
    async with writing(ledger) as connection:
        await check_programs(connection, old)
        with pytest.raises(asyncpg.LockNotAvailableError):
            await register(ledger, second(Instant(NOON - DAY_US)))
    assert len(await load_programs(ledger)) == 1


async def test_no_version_may_begin_where_events_may_be_decided_already(ledger: Pool) -> None:
    await post(ledger, Batch(events=[consumed("o-1")]), await load_programs(ledger), SHARDS)
    soonest = wall_clock() + FUTURE_TOLERANCE_US + LEAD_US
    said = await refusal(ledger, second(Instant(soonest - SECOND_US)))
    assert "effective_from: events may be decided already that happen then; take " in said
    named = datetime.fromisoformat(said.split(" take ")[1].split(" ")[0])
    assert named >= datetime_of(Instant(soonest))
    await register(ledger, second(Instant(soonest + 10 * SECOND_US)))
    assert len(await load_programs(ledger)) == 2


async def test_a_version_never_changes_and_comes_again_for_nothing(ledger: Pool) -> None:
    text = second(NOON)
    await register(ledger, text)
    await register(ledger, text)
    assert "version 2 is registered with other content" in await refusal(ledger, second(NOON, rate="4"))
    said = await refusal(ledger, text.replace("version: 2", "version: 3").replace("currency: USD", "currency: EUR"))
    assert "effective_from: version 2 is in force from" in said
    assert "currency: balances are in points for USD, which cannot change" in said
    assert [row["version"] for row in await ledger.fetch("SELECT version FROM programs")] == [1, 2]


async def test_a_reader_learns_a_version_that_came_meanwhile(
    settings: Settings, ledger: Pool, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader_module, "PROGRAMS_READ_EVERY_S", 0.02)
    reader = await reader_module.open_reader(settings)
    try:
        assert len(reader.programs) == 1
        await register(ledger, second(NOON))

        async def knows_both() -> bool:
            return len(reader.programs) == 2

        await until(knows_both)
    finally:
        await reader.close()


@pytest.mark.parametrize(
    ("broken", "mended", "error"),
    [
        (
            "REVOKE SELECT ON programs FROM pointstream_reader",
            "GRANT SELECT ON programs TO pointstream_reader",
            "InsufficientPrivilegeError",
        ),
        (
            "INSERT INTO programs (version, effective_from, document) VALUES (9, '2030-01-01', 'no program')",
            "DELETE FROM programs WHERE version = 9",
            "ProgramError",
        ),
    ],
    ids=["the server refuses", "a version cannot be read"],
)
async def test_a_reader_goes_on_learning_after_an_attempt_that_failed(
    settings: Settings,
    ledger: Pool,
    until: Until,
    monkeypatch: pytest.MonkeyPatch,
    broken: str,
    mended: str,
    error: str,
) -> None:
    monkeypatch.setattr(reader_module, "PROGRAMS_READ_EVERY_S", 0.02)
    reader = await reader_module.open_reader(settings)
    owner = await asyncpg.connect(settings.database)
    try:
        with capture_logs() as logs:
            await owner.execute(broken)

            async def has_failed_twice() -> bool:
                return sum(error in line.get("error", "") for line in logs) >= 2

            await until(has_failed_twice)
        assert len(reader.programs) == 1
        await owner.execute(mended)
        await register(ledger, second(NOON))

        async def knows_both() -> bool:
            return len(reader.programs) == 2

        await until(knows_both)
    finally:
        await reader.close()
        await owner.close()


async def test_the_commands_show_check_compare_and_activate(make_installation: Make, tmp_path: Path) -> None:
    settings = await make_installation()
    at = Instant(wall_clock() + DAY_US)
    file = tmp_path / "second.yaml"
    file.write_text(second(NOON))

    async def program(*arguments: str) -> tuple[int, str, str]:
        return await pointstream("program", *arguments, settings=settings)

    code, output, _ = await program("validate", str(GROCERY), str(file))
    assert (code, output.count("can be used")) == (0, 2)
    broken = tmp_path / "broken.yaml"
    broken.write_text(FIRST.replace("rate: 1/2", "rate: 1/0"))
    code, _, errors = await program("validate", str(broken))
    assert (code, "rules[1].rate: write the rate as a decimal (1.2) or a fraction (6/5)" in errors) == (1, True)

    code, output, _ = await program("activate", str(file), "--at", rfc3339(at), "--dry-run")
    assert code == 0
    assert "base becomes: 3 points for every USD, into points. Until then: 1 point for every USD" in output
    assert f"can be registered, and would decide what happens from {datetime_of(at).isoformat()}" in output
    code, output, _ = await program("list", "--json")
    assert [row["version"] for row in json.loads(output)] == [1]

    code, output, _ = await program("activate", str(file), "--at", rfc3339(at))
    assert (code, "Version 2 is registered." in output) == (0, True)
    code, output, _ = await program("list", "--json")
    first, last = json.loads(output)
    assert (first["from"], first["until"]) == ("2017-01-01T00:00:00Z", rfc3339(at))
    assert (last["version"], last["from"], last["until"]) == (2, rfc3339(at), None)

    code, output, _ = await program("show", "2")
    assert (code, output) == (0, second(at))
    code, output, _ = await program("diff", "1", "2", "--json")
    assert (code, list(json.loads(output))) == (0, ["earning"])
    code, _, errors = await program("show", "7")
    assert (code, "There is no version 7; registered are 1, 2." in errors) == (1, True)
    code, _, errors = await program("activate", str(file))
    assert (code, "version 2 is registered with other content" in errors) == (1, True)
