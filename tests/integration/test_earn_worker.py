"""The earn worker reads Kafka, and whatever happens to it or to the servers, every event counts once."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import asyncpg
import orjson
import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from structlog.testing import capture_logs

from services.earn.app import ingest
from shared.clock import wall_clock
from shared.contracts.inbound import CONTRACTS
from shared.ledger.database import Pool, Role
from shared.ledger.installation import Clock
from shared.settings import ORDER_PAID, Settings
from shared.setup import open_ledger
from shared.stream.claim import TrimmedError, TruncatedError
from shared.stream.lane import UnstampedTopicError
from tests.support.installing import Make
from tests.support.orders import data_of, event_of
from tests.support.running import running, send

Until = Callable[[Callable[[], Awaitable[bool]]], Awaitable[None]]


@pytest.fixture
async def settings(make_installation: Make) -> Settings:
    return await make_installation(topics=True)


@pytest.fixture
async def ledger(settings: Settings) -> AsyncIterator[Pool]:
    async with open_ledger(settings, Role.READER) as pool:
        yield pool


def orders(count: int, members: int = 10, start: int = 0) -> list[dict[str, object]]:
    now = wall_clock()
    return [
        event_of(data_of(f"o-{number}", f"member-{number % members}", at=now)) for number in range(start, start + count)
    ]


def has_consumed(ledger: Pool, count: int) -> Callable[[], Awaitable[bool]]:
    async def check() -> bool:
        found: int = await ledger.fetchval("SELECT count(*) FROM consumed_events")
        assert found <= count
        return found == count

    return check


def has_letters(ledger: Pool, count: int) -> Callable[[], Awaitable[bool]]:
    async def check() -> bool:
        return bool(await ledger.fetchval("SELECT count(*) = $1 FROM dead_letters", count))

    return check


async def test_orders_become_points(settings: Settings, ledger: Pool, until: Until) -> None:
    await send(settings, ORDER_PAID, orders(100))
    async with running(ingest(settings)):
        await until(has_consumed(ledger, 100))
    points = await ledger.fetch("SELECT member_id, balances FROM accounts")
    assert {row["member_id"]: orjson.loads(row["balances"])["points"]["available"] for row in points} == {
        f"member-{number}": 100 for number in range(10)
    }


async def test_a_worker_goes_on_where_the_last_one_stopped(settings: Settings, ledger: Pool, until: Until) -> None:
    await send(settings, ORDER_PAID, orders(40))
    async with running(ingest(settings)):
        await until(has_consumed(ledger, 40))
    await send(settings, ORDER_PAID, orders(40, start=40))
    async with running(ingest(settings)):
        await until(has_consumed(ledger, 80))
    offsets = await ledger.fetchval("SELECT sum(next_offset) FROM consumer_offsets")
    assert offsets == 80
    assert await ledger.fetchval("SELECT sum(generation) FROM consumer_offsets") == 2 * 4 * len(CONTRACTS)


async def test_a_broken_message_is_kept_and_the_events_around_it_are_posted(
    settings: Settings, ledger: Pool, until: Until
) -> None:
    wrong = event_of(data_of("o-wrong", "member-0", at=wall_clock()))
    wrong["data"]["lines"][0]["paid"] = -5
    events = orders(6)
    await send(settings, ORDER_PAID, [*events[:3], b"{ not json", None, wrong, *events[3:]])
    async with running(ingest(settings)):
        await until(has_consumed(ledger, 6))
        await until(has_letters(ledger, 3))
    letters = await ledger.fetch("SELECT defect, path, event_id FROM dead_letters")
    assert {(row["path"], row["event_id"]) for row in letters} >= {("data.lines[0].paid", "o-wrong")}
    assert {row["defect"] for row in letters} == {"not_json", "empty", "invalid_field"}


async def test_workers_that_come_and_go_share_the_work(settings: Settings, ledger: Pool, until: Until) -> None:
    await send(settings, ORDER_PAID, orders(300, members=50))
    async with running(ingest(settings)):
        await until(has_consumed(ledger, 300))
        async with running(ingest(settings)):
            await send(settings, ORDER_PAID, orders(300, members=50, start=300))
            await until(has_consumed(ledger, 600))
        await send(settings, ORDER_PAID, orders(300, members=50, start=600))
        await until(has_consumed(ledger, 900))
    assert await ledger.fetchval("SELECT count(*) FROM postings") == 900


async def test_a_worker_waits_for_postgresql_and_catches_up(settings: Settings, ledger: Pool, until: Until) -> None:
    async with running(ingest(settings)):
        await send(settings, ORDER_PAID, orders(20))
        await until(has_consumed(ledger, 20))
        admin = await asyncpg.connect(settings.postgres)
        try:
            await admin.execute(f'ALTER DATABASE "{settings.installation}" ALLOW_CONNECTIONS false')
            await admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", settings.installation
            )
            await send(settings, ORDER_PAID, orders(20, start=20))
            with capture_logs() as logs:

                async def has_tried_in_vain() -> bool:
                    return sum(entry["event"] == "PostgreSQL or Kafka is away" for entry in logs) >= 2

                await until(has_tried_in_vain)
            await admin.execute(f'ALTER DATABASE "{settings.installation}" ALLOW_CONNECTIONS true')
        finally:
            await admin.close()
        await until(has_consumed(ledger, 40))
    assert await ledger.fetchval("SELECT count(*) FROM postings") == 40


async def test_a_worker_stops_within_ten_seconds_in_the_middle_of_work(settings: Settings) -> None:
    await send(settings, ORDER_PAID, orders(2_000, members=500))
    async with asyncio.timeout(30):
        worker = ingest(settings)
        await worker.start()
        async with asyncio.timeout(10):
            await worker.stop()
    assert worker.crash_reason is None


async def test_a_live_worker_refuses_a_topic_with_its_producers_clocks(make_installation: Make) -> None:
    settings = await make_installation(topics=True, clock=Clock.REPLAY)
    async with open_ledger(settings, Role.WRITER) as pool:
        await pool.execute("UPDATE installation SET clock = 'live', replay_now = NULL")
    await send(settings, ORDER_PAID, orders(1))
    worker = ingest(settings)
    await worker.start()
    await worker.wait_until_stopped()
    assert isinstance(worker.crash_reason, UnstampedTopicError)
    await worker.stop()


async def test_a_worker_stops_loudly_when_events_were_deleted_before_it_read_them(
    settings: Settings, ledger: Pool
) -> None:
    await send(settings, ORDER_PAID, orders(50))
    await delete_first_three(settings)
    await set_next_offset(settings, 2)
    worker = ingest(settings)
    await worker.start()
    await worker.wait_until_stopped()
    assert isinstance(worker.crash_reason, TrimmedError)
    await worker.stop()


@pytest.mark.parametrize("next_offset", [0, 3])
async def test_what_was_deleted_after_it_was_read_or_before_the_installation_stops_nobody(
    settings: Settings, ledger: Pool, until: Until, next_offset: int
) -> None:
    await send(settings, ORDER_PAID, orders(50))
    await delete_first_three(settings)
    await set_next_offset(settings, next_offset)

    async def is_read() -> bool:
        return bool(await ledger.fetchval("SELECT sum(next_offset) = 50 FROM consumer_offsets WHERE topic = $1", topic))

    topic = settings.topic(ORDER_PAID)
    async with running(ingest(settings)):
        await until(is_read)
    assert await ledger.fetchval("SELECT count(*) FROM consumed_events") == 50 - 4 * 3


async def delete_first_three(settings: Settings) -> None:
    """What retention does, in each partition."""
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka)
    await admin.start()
    partitions = [TopicPartition(settings.topic(ORDER_PAID), number) for number in range(4)]
    await admin.delete_records({partition: RecordsToDelete(before_offset=3) for partition in partitions})
    await admin.close()


async def set_next_offset(settings: Settings, next_offset: int) -> None:
    """How far the ledger has read each partition."""
    async with open_ledger(settings, Role.WRITER) as pool:
        await pool.execute(
            "INSERT INTO consumer_offsets SELECT $1, $2, n, $3 FROM generate_series(0, 3) AS n",
            settings.group("earn"),
            settings.topic(ORDER_PAID),
            next_offset,
        )


async def test_a_worker_stops_loudly_when_the_log_is_shorter_than_what_was_read(
    settings: Settings, ledger: Pool
) -> None:
    await send(settings, ORDER_PAID, orders(10))
    await set_next_offset(settings, 5000)
    worker = ingest(settings)
    await worker.start()
    await worker.wait_until_stopped()
    assert isinstance(worker.crash_reason, TruncatedError)
    await worker.stop()
    assert await ledger.fetchval("SELECT max(next_offset) FROM consumer_offsets") == 5000
