"""What falls due is settled as time passes, by the watermark of the inputs and never ahead of it."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from math import inf

import orjson
import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from structlog.testing import capture_logs

from services.earn.app import ingest
from services.expiry import app as expiry_app
from services.expiry.app import Expiry
from shared.domain.time import DAY_US, SECOND_US, Instant, instant_of, unix_ms
from shared.ledger.database import Pool
from shared.ledger.installation import Clock, set_replay_now
from shared.metrics import Process, registry_of
from shared.monitor import Status
from shared.settings import ORDER_PAID, REFUND, Settings
from shared.stream.watermark import Reached, passed_instants
from tests.support.installing import Make
from tests.support.orders import NOON, data_of, event_of
from tests.support.running import running, send_at

Until = Callable[[Callable[[], Awaitable[bool]]], Awaitable[None]]

END = instant_of(datetime(2026, 6, 11, 4, tzinfo=UTC))
"""Points of 10 March, good for three months, end with 10 June in New York."""


@pytest.fixture
async def settings(make_installation: Make) -> Settings:
    return await make_installation(clock=Clock.REPLAY, topics=True)


def order(order_id: str, member_id: str, at: Instant) -> dict[str, object]:
    return event_of(data_of(order_id, member_id, at=at))


async def set_clock(ledger: Pool, now: Instant) -> None:
    async with ledger.acquire() as connection:
        await set_replay_now(connection, now)


async def settlements(ledger: Pool) -> list[Instant]:
    rows = await ledger.fetch("SELECT occurred_at FROM postings WHERE kind = 'settlement' ORDER BY occurred_at")
    return [row["occurred_at"] for row in rows]


async def test_points_expire_when_time_passes_without_an_event(settings: Settings, ledger: Pool, until: Until) -> None:
    await send_at(settings, ORDER_PAID, order("o-1", "alice", NOON), NOON)
    async with running(ingest(settings), Expiry(settings)):

        async def settled() -> bool:
            return await settlements(ledger) == [END]

        await set_clock(ledger, Instant(END + 60 * SECOND_US))
        await until(settled)
    assert await ledger.fetchval("SELECT (balances -> 'points' ->> 'expired')::int FROM accounts") == 10


async def test_time_does_not_pass_an_event_that_waits(settings: Settings, ledger: Pool, until: Until) -> None:
    """While an event waits unread, nothing that is due after its arrival is settled; then it is, and once."""
    await send_at(settings, ORDER_PAID, order("o-1", "alice", NOON), NOON)

    async def read() -> bool:
        return bool(await ledger.fetchval("SELECT count(*) = 1 FROM postings"))

    async with running(ingest(settings)):
        await until(read)
    await send_at(settings, ORDER_PAID, order("o-2", "alice", Instant(NOON + DAY_US)), Instant(NOON + DAY_US))
    await set_clock(ledger, Instant(END + DAY_US))
    worker = Expiry(settings)
    async with running(worker):
        await until(has_swept(worker, 3))
        assert await settlements(ledger) == []
        async with running(ingest(settings)):

            async def settled() -> bool:
                return await settlements(ledger) == [END]

            await until(settled)


async def test_markers_of_transactions_do_not_hold_time_back(settings: Settings, ledger: Pool, until: Until) -> None:
    """The last thing in a partition that a transactional shop writes to is a marker, which no reader ever gets."""
    producer = AIOKafkaProducer(bootstrap_servers=settings.kafka, transactional_id=f"{settings.installation}-shop")
    await producer.start()
    async with producer.transaction():
        for number in range(8):
            member_id = f"member-{number}"
            event = order(f"o-{number}", member_id, NOON)
            await producer.send(
                settings.topic(ORDER_PAID), orjson.dumps(event), key=member_id.encode(), timestamp_ms=unix_ms(NOON)
            )
    await producer.stop()
    async with running(ingest(settings), Expiry(settings)):

        async def settled() -> bool:
            return await settlements(ledger) == [END] * 8

        await set_clock(ledger, Instant(END + 60 * SECOND_US))
        await until(settled)


async def test_what_was_deleted_before_anybody_read_it_does_not_hold_time_back(
    settings: Settings, ledger: Pool, until: Until
) -> None:
    """A topic that is older than the installation, and of which retention has left nothing."""
    for number in range(12):
        await send_at(settings, REFUND, {"data": {"member_id": f"member-{number}"}}, NOON)
    partitions = [TopicPartition(settings.topic(REFUND), number) for number in range(4)]
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka)
    await admin.start()
    await admin.delete_records({partition: RecordsToDelete(before_offset=-1) for partition in partitions})
    await admin.close()
    await send_at(settings, ORDER_PAID, order("o-1", "alice", NOON), NOON)
    async with running(ingest(settings), Expiry(settings)):

        async def settled() -> bool:
            return await settlements(ledger) == [END]

        await set_clock(ledger, Instant(END + 60 * SECOND_US))
        await until(settled)


async def test_an_expiry_worker_says_which_input_nobody_reads(
    settings: Settings, ledger: Pool, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expiry_app, "TELL_AFTER_S", 0.1)
    await send_at(settings, ORDER_PAID, order("o-1", "alice", NOON), NOON)
    await set_clock(ledger, NOON)
    worker = Expiry(settings)

    async def waits() -> bool:
        said = (await worker.readiness()).checks["watermark"]
        lag_s = registry_of(Process.EXPIRY).get_sample_value("pointstream_watermark_lag_seconds")
        return said.endswith("has events, and no worker has ever read it") and lag_s == inf

    async def is_ready() -> bool:
        return (await worker.readiness()).status is Status.READY

    async def is_told() -> bool:
        return "nothing is settled" in [line["event"] for line in told]

    with capture_logs() as told:
        async with running(worker):
            await until(waits)
            await until(is_told)
            async with running(ingest(settings)):
                await until(is_ready)
    assert [line["event"] for line in told].count("nothing is settled") == 1


def has_swept(worker: Expiry, times: int) -> Callable[[], Awaitable[bool]]:
    """The worker has looked at the watermark so often."""

    async def check() -> bool:
        return worker.sweeps >= times

    return check


A, B = (TopicPartition("t", number) for number in range(2))


@pytest.mark.parametrize(
    ("ends", "reached", "passed"),
    [
        ({A: 5, B: 7}, {A: Reached(5, Instant(50)), B: Reached(7, Instant(70))}, [100, 100]),
        ({A: 5, B: 7}, {A: Reached(5, Instant(50)), B: Reached(6, Instant(60))}, [100, 60]),
        ({A: 0, B: 0}, {}, [100, 100]),
        ({A: 3}, {}, [None]),
        ({A: 3, B: 9}, {B: Reached(9, Instant(90))}, [None, 100]),
    ],
)
def test_a_partition_has_passed_now_without_lag_and_else_its_last_arrival(
    ends: dict[TopicPartition, int], reached: dict[TopicPartition, Reached], passed: list[int | None]
) -> None:
    assert list(passed_instants(ends, reached, Instant(100)).values()) == passed
