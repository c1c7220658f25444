"""Work that changes hands: what a frozen or fenced worker leaves behind does not get in the way of the next."""

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import asyncpg
import orjson
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import InvalidSessionTimeoutError, KafkaConnectionError, ProducerFenced
from mode import Service
from structlog.testing import capture_logs

import services.publisher.share as share_module
from services.earn.app import ingest
from services.expiry.app import Expiry
from services.publisher.app import Publisher
from services.publisher.share import Share
from shared.domain.ids import MemberId, Shard
from shared.domain.model import Account
from shared.domain.time import DAY_US, Instant, unix_ms
from shared.ledger import database, statements
from shared.ledger.budgets import Reach
from shared.ledger.database import CONNECTION_ERRORS, Connection, Pool, Role, writing
from shared.ledger.installation import Clock, set_replay_now
from shared.ledger.programs import load_programs
from shared.ledger.sharding import shard_of
from shared.ledger.state import MemberSeenError, lock_accounts
from shared.ledger.write import Change, write_accounts
from shared.settings import ORDER_PAID, Settings
from shared.setup import open_ledger
from shared.stream.topics import SHARES
from shared.stream.watermark import InputLog
from tests.support.installing import Make
from tests.support.orders import NOON, consumed, data_of, event_of
from tests.support.running import running, send_at

SHARDS = 4
Until = Callable[[Callable[[], Awaitable[bool]]], Awaitable[None]]


async def test_a_worker_that_is_frozen_inside_a_transaction_does_not_hold_its_partitions(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "IDLE_IN_TRANSACTION_S", 0.5)
    partition = ("earn", ["orders"], [0])
    async with open_ledger(settings, Role.WRITER) as frozen, open_ledger(settings, Role.WRITER) as next_one:
        await frozen.fetch(statements.CLAIM_PARTITIONS, *partition)
        async with frozen.acquire() as connection:
            transaction = connection.transaction()
            await transaction.start()
            await connection.fetch(statements.ADVANCE_OFFSETS, *partition, [7], [1], [NOON])
            (row,) = await next_one.fetch(statements.CLAIM_PARTITIONS, *partition)
            assert (row["next_offset"], row["generation"]) == (0, 2)
            with pytest.raises(CONNECTION_ERRORS):
                await transaction.commit()


async def test_a_worker_that_is_frozen_inside_a_copy_is_ended_by_who_waits_for_it(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No timeout of PostgreSQL ends a COPY that waits for its rows."""
    monkeypatch.setattr(database, "IDLE_IN_TRANSACTION_S", 0.5)
    monkeypatch.setattr(database, "LOCK_WAIT_S", 0.6)
    partition = ("earn", ["orders"], [0])
    reached = asyncio.Event()

    async def no_rows() -> AsyncIterator[bytes]:
        reached.set()
        await asyncio.Event().wait()
        yield b""

    async def freeze(pool: Pool) -> None:
        async with pool.acquire() as connection, connection.transaction():
            await connection.fetch(statements.ADVANCE_OFFSETS, *partition, [7], [1], [NOON])
            await connection.copy_to_table("lots", source=no_rows())

    async with open_ledger(settings, Role.WRITER) as frozen, open_ledger(settings, Role.WRITER) as next_one:
        await frozen.fetch(statements.CLAIM_PARTITIONS, *partition)
        freezing = asyncio.create_task(freeze(frozen))
        await reached.wait()
        with pytest.raises(asyncpg.LockNotAvailableError):
            async with writing(next_one) as connection:
                await connection.fetch(statements.CLAIM_PARTITIONS, *partition)
        async with writing(next_one) as connection:
            (row,) = await connection.fetch(statements.CLAIM_PARTITIONS, *partition)
        assert (row["next_offset"], row["generation"]) == (0, 2)
        freezing.cancel()
        await asyncio.wait({freezing})


async def test_a_share_that_was_taken_away_does_not_start_again(
    make_installation: Make, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cancelled in the middle of a transaction, it ends as that transaction's error; started again, it would fence its
    rightful owner."""
    settings = await make_installation(topics=True)
    starts: list[int] = []

    async def run(share: Share, owned: Callable[[], bool]) -> None:
        starts.append(1)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise ProducerFenced from None

    monkeypatch.setattr(Share, "run", run)
    publisher = Publisher(settings)
    async with running(publisher):

        async def all_work() -> bool:
            return len(starts) == SHARES

        await until(all_work)
        async with asyncio.timeout(3):
            await publisher.revoked()
    assert len(starts) == SHARES


async def test_a_share_ends_though_a_call_drops_its_cancellation(
    make_installation: Make, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `asyncio.wait_for` does when the answer comes in the same moment."""
    settings = await make_installation(topics=True)
    reads: list[int] = []

    async def read_postings(*_: object) -> dict[Shard, object]:
        reads.append(1)
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        return {}

    monkeypatch.setattr(share_module, "read_postings", read_postings)
    publisher = Publisher(settings)
    async with running(publisher):

        async def all_read() -> bool:
            return len(reads) == SHARES

        await until(all_read)
        with capture_logs() as logs:
            await publisher.revoked()
    assert [entry for entry in logs if entry["event"].startswith("shares end late")] == []
    assert len(reads) == SHARES


@pytest.mark.parametrize("make", [ingest, Publisher])
async def test_what_the_group_protocol_refuses_ends_the_worker(
    make_installation: Make, make: Callable[[Settings], Service]
) -> None:
    """A session that the broker does not take: nobody would ever get a partition, and nothing else would tell."""
    settings = await make_installation(topics=True)
    worker = make(settings.model_copy(update={"session_timeout_ms": 400}))
    await worker.start()
    async with asyncio.timeout(30):
        await worker.wait_until_stopped()
    assert isinstance(worker.crash_reason, InvalidSessionTimeoutError)
    await worker.stop()


@asynccontextmanager
async def waits(settings: Settings) -> AsyncIterator[Callable[[int], Callable[[], Awaitable[bool]]]]:
    """Whether so many sessions of an installation wait for a lock."""
    # The server's own user: others are not told what a session waits for.
    async with asyncpg.create_pool(settings.postgres, min_size=1, max_size=1) as watcher:

        def waiting(count: int) -> Callable[[], Awaitable[bool]]:
            async def check() -> bool:
                found = await watcher.fetchval(
                    "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = $1",
                    settings.installation,
                )
                return bool(found == count)

            return check

        yield waiting


async def test_new_members_are_written_in_one_order_by_all_workers(
    settings: Settings, ledger: Pool, until: Until
) -> None:
    """Two workers meet on new members: one waits, and then finds them there. Written in the order of their events, each
    would have what the other waits for."""

    async with waits(settings) as waiting:
        async with ledger.acquire() as third:
            transaction = third.transaction()
            await transaction.start()
            await write_accounts(third, [Change(Shard(0), Account(MemberId("c")), Account(MemberId("c"), version=1))])
            one = asyncio.create_task(write_accounts_of(ledger, "b", "c", "a"))
            await until(waiting(1))
            other = asyncio.create_task(write_accounts_of(ledger, "a", "b"))
            await until(waiting(2))
            await transaction.rollback()
        await one
        with pytest.raises(asyncpg.UniqueViolationError):
            await other


async def test_a_member_who_is_seen_meanwhile_is_not_locked_out_of_order(
    settings: Settings, ledger: Pool, until: Until
) -> None:
    """A batch has locked accounts, and waits for its turn with a member whom nobody has seen. Were it locked once it
    has come up, this batch and another, which locks in order, would each have what the other waits for."""
    programs = await load_programs(ledger)
    first, last = [name for name in map("member-{:02}".format, range(99)) if shard_of(name, SHARDS) == 0][:2]
    batch = [consumed("o-1", first).event, consumed("o-2", last).event]
    await write_accounts_of(ledger, last)

    async def lock() -> None:
        async with ledger.acquire() as connection, connection.transaction():
            await lock_accounts(connection, batch, SHARDS, programs, Reach.OWN_LEASE, alone=True)

    async with waits(settings) as waiting, ledger.acquire() as turn, ledger.acquire() as other:
        turns = turn.transaction()
        await turns.start()
        await turn.fetch(statements.LOCK_UNSEEN, [0], [False])
        locking = asyncio.create_task(lock())
        await until(waiting(1))
        await write_accounts_of(ledger, first)
        async with other.transaction():
            await other.fetch(statements.LOCK_ACCOUNTS, [0], [first])
            others = asyncio.create_task(other.fetch(statements.LOCK_ACCOUNTS, [0], [last]))
            await until(waiting(2))
            await turns.rollback()
            with pytest.raises(MemberSeenError):
                await locking
            assert len(await others) == 1


async def test_shards_are_taken_in_one_order_by_all_workers(settings: Settings, ledger: Pool, until: Until) -> None:
    """Who waits for the first shard has no later one yet; taken in another order, two batches would each have what the
    other waits for."""
    # Heads that were moved on lie in another order than their numbers.
    await ledger.execute("UPDATE shard_heads SET pos = pos WHERE shard = 0")

    async def take(connection: Connection, *shards: int) -> dict[int, int]:
        rows = await connection.fetch(statements.TAKE_POSITIONS, list(shards), [1] * len(shards))
        return {row["shard"]: row["pos"] for row in rows}

    async def take_both() -> dict[int, int]:
        async with ledger.acquire() as connection, connection.transaction():
            return await take(connection, 1, 0)

    async with waits(settings) as waiting, ledger.acquire() as first, ledger.acquire() as other:
        transaction = first.transaction()
        await transaction.start()
        assert await take(first, 0) == {0: 1}
        taking = asyncio.create_task(take_both())
        await until(waiting(1))
        await other.execute("SELECT FROM shard_heads WHERE shard = 1 FOR UPDATE NOWAIT")
        await transaction.commit()
    assert await taking == {0: 2, 1: 1}


async def test_partitions_are_claimed_in_one_order_by_all_workers(
    settings: Settings, ledger: Pool, until: Until
) -> None:
    await ledger.fetch(statements.CLAIM_PARTITIONS, "earn", ["orders", "orders"], [0, 1])

    async def claim_both() -> dict[int, int]:
        rows = await ledger.fetch(statements.CLAIM_PARTITIONS, "earn", ["orders", "orders"], [1, 0])
        return {row["partition"]: row["generation"] for row in rows}

    async with waits(settings) as waiting, ledger.acquire() as first, ledger.acquire() as other:
        transaction = first.transaction()
        await transaction.start()
        await first.fetch(statements.CLAIM_PARTITIONS, "earn", ["orders"], [0])
        claiming = asyncio.create_task(claim_both())
        await until(waiting(1))
        await other.execute("SELECT FROM consumer_offsets WHERE partition = 1 FOR UPDATE NOWAIT")
        await transaction.commit()
    assert await claiming == {0: 3, 1: 2}


async def test_a_claim_takes_nothing_from_another_group_topic_or_partition(ledger: Pool) -> None:
    """And reads on from the offset that its own partition has."""
    await ledger.execute(
        "INSERT INTO consumer_offsets VALUES"
        " ('earn', 'orders', 0, 5, 1), ('earn', 'orders', 1, 6, 1),"
        " ('earn', 'refunds', 0, 7, 1), ('tier', 'orders', 0, 8, 1)"
    )
    (row,) = await ledger.fetch(statements.CLAIM_PARTITIONS, "earn", ["orders"], [0])
    assert (row["topic"], row["partition"], row["next_offset"], row["generation"]) == ("orders", 0, 5, 2)
    others = await ledger.fetch("SELECT next_offset FROM consumer_offsets WHERE generation = 1 ORDER BY 1")
    assert [other["next_offset"] for other in others] == [6, 7, 8]


async def write_accounts_of(ledger: Pool, *members: str) -> None:
    """Make accounts of members of the first shard."""
    changes = [Change(Shard(0), Account(MemberId(member)), Account(MemberId(member), version=1)) for member in members]
    async with ledger.acquire() as connection, connection.transaction():
        await write_accounts(connection, changes)


async def test_what_cannot_be_opened_is_closed(settings: Settings) -> None:
    """Left open, it would warn when it is collected, and warnings are errors here."""
    log = InputLog(settings.model_copy(update={"kafka": "127.0.0.1:1"}))
    with pytest.raises(KafkaConnectionError):
        await log.open()
    del log
    gc.collect()


async def test_time_does_not_pass_an_event_in_an_open_transaction(make_installation: Make, until: Until) -> None:
    """It has arrived, though no worker may read it yet: what is due after it waits."""
    settings = await make_installation(clock=Clock.REPLAY, topics=True)
    shop = AIOKafkaProducer(bootstrap_servers=settings.kafka, transactional_id=f"{settings.installation}-shop")
    await send_at(settings, ORDER_PAID, event_of(data_of("o-1", "alice", at=NOON)), NOON)
    async with open_ledger(settings, Role.WRITER) as ledger:

        async def settled() -> int:
            found: int = await ledger.fetchval("SELECT count(*) FROM postings WHERE kind = 'settlement'")
            return found

        async def is_read() -> bool:
            return bool(await ledger.fetchval("SELECT count(*) = 1 FROM postings"))

        await shop.start()
        try:
            async with running(ingest(settings)):
                await until(is_read)
                async with shop.transaction():
                    later = event_of(data_of("o-2", "alice", at=Instant(NOON + DAY_US)))
                    await shop.send_and_wait(
                        settings.topic(ORDER_PAID),
                        orjson.dumps(later),
                        key=b"alice",
                        timestamp_ms=unix_ms(Instant(NOON + DAY_US)),
                    )
                    async with ledger.acquire() as connection:
                        await set_replay_now(connection, Instant(NOON + 200 * DAY_US))
                    worker = Expiry(settings)
                    async with running(worker):

                        async def has_looked() -> bool:
                            return worker.sweeps >= 3

                        await until(has_looked)
                        assert await settled() == 0
                async with running(Expiry(settings)):

                    async def both_settled() -> bool:
                        return await settled() == 2

                    await until(both_settled)
        finally:
            await shop.stop()
