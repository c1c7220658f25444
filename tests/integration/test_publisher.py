"""What is in the journal comes out once: in points-changed for readers of committed records, and in Redis."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import orjson
import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from redis.asyncio import Redis

from services.publisher import share
from services.publisher.app import Publisher
from services.publisher.positions import read_positions
from services.publisher.tail import RolledBackError
from shared.cache.balances import BalanceCache, CachedBalance, ShardNews
from shared.contracts.points_changed import PointsChangedData
from shared.domain.facts import Adjustment, Sweep
from shared.domain.ids import AdjustmentId, EventSource, MemberId, Shard, Wallet
from shared.domain.model import Outcome
from shared.domain.time import DAY_US, Instant
from shared.ledger import adjustments
from shared.ledger.batch import Batch
from shared.ledger.database import Pool
from shared.ledger.installation import Clock
from shared.ledger.post import Poster, post
from shared.ledger.programs import load_programs
from shared.ledger.sharding import shard_of
from shared.ledger.state import read_account
from shared.settings import POINTS_CHANGED, Settings
from shared.stream.topics import PUBLISHED, create_topics
from tests.support.installing import Make
from tests.support.orders import NOON, consumed
from tests.support.running import published, running

SHARDS = 4
GUEST_ORDERS = 19_000
Until = Callable[[Callable[[], Awaitable[bool]]], Awaitable[None]]


@pytest.fixture
async def settings(make_installation: Make) -> Settings:
    return await make_installation(topics=True)


@pytest.fixture
async def cache(settings: Settings) -> AsyncIterator[BalanceCache]:
    cache = BalanceCache(settings.redis, settings.installation, SHARDS)
    yield cache
    await cache.close()


async def post_orders(ledger: Pool, count: int, start: int = 0, members: int = 10) -> None:
    programs = await load_programs(ledger)
    events = [consumed(f"o-{number}", f"member-{number % members}") for number in range(start, start + count)]
    await post(ledger, Batch(events=events), programs, SHARDS)


def is_cached(ledger: Pool, cache: BalanceCache) -> Callable[[], Awaitable[bool]]:
    """Redis has come as far as the journal."""

    async def check() -> bool:
        heads = await ledger.fetch("SELECT shard, pos FROM shard_heads")
        cursors = await cache.cursors([Shard(shard) for shard in range(SHARDS)])
        return all((cursors[row["shard"]] or 0) == row["pos"] for row in heads)

    return check


async def versions(settings: Settings) -> dict[str, list[int]]:
    """The versions that a reader of committed records sees, by member, in their order."""
    seen: dict[str, list[int]] = {}
    for record in await published(settings, SHARDS):
        data = orjson.loads(record.value)
        seen.setdefault(data["member_id"], []).append(data["version"])
    return seen


def is_published(settings: Settings, count: int) -> Callable[[], Awaitable[bool]]:
    async def check() -> bool:
        return len(await published(settings, SHARDS)) >= count

    return check


async def test_every_posting_comes_out_once_in_order(
    settings: Settings, ledger: Pool, cache: BalanceCache, until: Until
) -> None:
    await post_orders(ledger, 200)
    async with running(Publisher(settings)):
        await until(is_published(settings, 200))
        await post_orders(ledger, 100, start=200)
        await until(is_published(settings, 300))
        await until(is_cached(ledger, cache))
    assert await versions(settings) == {f"member-{number}": list(range(1, 31)) for number in range(10)}


async def test_records_keep_the_contract_and_say_what_the_journal_says(
    settings: Settings, ledger: Pool, until: Until
) -> None:
    programs = await load_programs(ledger)
    events = [consumed("o-1", cents=[5990, 11995], brand="Private")]
    await post(ledger, Batch(events=events), programs, SHARDS)
    await post(ledger, Batch(sweeps=[Sweep(MemberId("alice"), Instant(NOON + 300 * DAY_US))]), programs, SHARDS)
    count = await ledger.fetchval("SELECT count(*) FROM postings")
    async with running(Publisher(settings)):
        await until(is_published(settings, count))
    records = await published(settings, SHARDS)
    assert len(records) == count > 2
    for record in records:
        data = PointsChangedData.model_validate_json(record.value)
        headers = dict(record.headers)
        assert record.key == headers["ce_partitionkey"] == b"alice"
        assert (headers["ce_specversion"], headers["content-type"]) == (b"1.0", b"application/json")
        assert headers["ce_id"] == f"{data.shard}-{data.pos}".encode()
        assert record.partition == data.shard
        row = await ledger.fetchrow("SELECT * FROM postings WHERE shard = $1 AND pos = $2", data.shard, data.pos)
        assert row is not None
        assert (row["member_id"], row["version"], row["kind"]) == (data.member_id, data.version, data.kind)
        assert orjson.loads(row["balances"]) == orjson.loads(record.value)["balances"]
        movements = await ledger.fetch(
            "SELECT * FROM movements WHERE shard = $1 AND pos = $2 ORDER BY seq", data.shard, data.pos
        )
        said = [
            (item["wallet"], item["from"], item["to"], item["amount"], item["rule"], item["lot_id"], item["order_id"])
            for item in orjson.loads(record.value)["movements"]
        ]
        assert said == [tuple(movement)[3:] for movement in movements]


async def test_what_one_request_has_no_room_for_goes_into_the_next(
    settings: Settings, ledger: Pool, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(share, "BATCH_BYTES_MAX", 4_000)
    await post_orders(ledger, 200)
    async with running(Publisher(settings)):
        await until(is_published(settings, 200))
    assert await versions(settings) == {f"member-{number}": list(range(1, 21)) for number in range(10)}


async def test_a_publisher_goes_on_where_the_last_one_stopped(settings: Settings, ledger: Pool, until: Until) -> None:
    for start in range(0, 150, 50):
        await post_orders(ledger, 50, start=start)
        async with running(Publisher(settings)):
            await until(is_published(settings, start + 50))
    assert await versions(settings) == {f"member-{number}": list(range(1, 16)) for number in range(10)}


async def test_publishers_share_the_shards_and_take_over_from_each_other(
    settings: Settings, ledger: Pool, until: Until
) -> None:
    async with running(Publisher(settings)):
        await post_orders(ledger, 100)
        await until(is_published(settings, 100))
        async with running(Publisher(settings)):
            await post_orders(ledger, 100, start=100)
            await until(is_published(settings, 200))
        await post_orders(ledger, 100, start=200)
        await until(is_published(settings, 300))
    assert await versions(settings) == {f"member-{number}": list(range(1, 31)) for number in range(10)}


async def test_what_a_zombie_has_open_is_never_seen(settings: Settings, ledger: Pool, until: Until) -> None:
    """A publisher that stalls inside a transaction is fenced by the next one, and its records stay invisible."""
    zombie = AIOKafkaProducer(
        bootstrap_servers=settings.kafka, transactional_id=f"{settings.group('publisher')}-0", acks="all"
    )
    await zombie.start()
    await zombie.begin_transaction()
    await zombie.send_and_wait(settings.topic(POINTS_CHANGED), b"{}", key=b"x", partition=0)
    await zombie.send_and_wait(settings.topic(PUBLISHED), b'{"0": 999}', key=b"0", partition=0)
    await post_orders(ledger, 60)
    async with running(Publisher(settings)):
        await until(is_published(settings, 60))
        with pytest.raises(Exception, match=r"(?i)fenced|epoch|another producer"):
            await zombie.commit_transaction()
    await zombie.stop()
    assert await versions(settings) == {f"member-{number}": list(range(1, 7)) for number in range(10)}


async def test_the_last_committed_position_counts_however_much_was_given_up_since(settings: Settings) -> None:
    partition = TopicPartition(settings.topic(PUBLISHED), 0)
    producer = AIOKafkaProducer(
        bootstrap_servers=settings.kafka, transactional_id=f"{settings.group('publisher')}-0", acks="all"
    )
    await producer.start()
    async with producer.transaction():
        await producer.send_and_wait(partition.topic, b'{"0": 7}', key=b"0", partition=0)
    for _ in range(20):
        await producer.begin_transaction()
        await producer.send_and_wait(partition.topic, b'{"0": 999}', key=b"0", partition=0)
        await producer.abort_transaction()
    await producer.stop()
    assert await read_positions(settings.kafka, partition, [Shard(0), Shard(1)]) == {0: 7, 1: 0}


async def test_a_flushed_redis_fills_with_what_comes_next(
    settings: Settings, ledger: Pool, cache: BalanceCache, until: Until
) -> None:
    async with running(Publisher(settings)):
        await post_orders(ledger, 40)
        await until(is_cached(ledger, cache))
        await forget(settings)
        await post_orders(ledger, 40, start=40, members=5)
        await until(is_cached(ledger, cache))
    cached = await cache.read_many([MemberId(f"member-{number}") for number in range(10)])
    assert [entry.version if entry else None for entry in cached] == [12] * 5 + [None] * 5


async def test_a_redis_that_came_back_from_an_old_snapshot_is_brought_up_to_date(
    settings: Settings, ledger: Pool, cache: BalanceCache, until: Until
) -> None:
    async with running(Publisher(settings)):
        await post_orders(ledger, 40)
        await until(is_cached(ledger, cache))
        snapshot = await dump(settings)
        await post_orders(ledger, 40, start=40)
        await until(is_cached(ledger, cache))
        await forget(settings)
        await restore(settings, snapshot)
        await until(is_cached(ledger, cache))
    cached = await cache.read_many([MemberId(f"member-{number}") for number in range(10)])
    assert [entry.version for entry in cached if entry] == [8] * 10


async def test_who_has_no_news_is_brought_up_to_date_too_where_redis_came_back_behind(
    settings: Settings, ledger: Pool, cache: BalanceCache, until: Until
) -> None:
    """What Redis missed was published long ago, and the first news that is read is of other members."""
    async with running(Publisher(settings)):
        await post_orders(ledger, 40)
        await until(is_cached(ledger, cache))
        snapshot = await dump(settings)
        await post_orders(ledger, 40, start=40)
        await until(is_published(settings, 80))
    await forget(settings)
    await restore(settings, snapshot)
    await post_orders(ledger, 20, start=80, members=5)
    async with running(Publisher(settings)):
        await until(is_cached(ledger, cache))
    cached = await cache.read_many([MemberId(f"member-{number}") for number in range(10)])
    assert [entry.version for entry in cached if entry] == [12] * 5 + [8] * 5


async def test_redis_keeps_the_newer_version_whoever_comes_last(settings: Settings, cache: BalanceCache) -> None:
    newer = CachedBalance(MemberId("alice"), 10, None, b'{"points":{"available":5}}')
    older = CachedBalance(MemberId("alice"), 9, None, b'{"points":{"available":4}}')
    for balance in (older, newer, older):
        await cache.refill(balance, 0)
    assert await cache.read(MemberId("alice")) == newer


async def test_what_a_reader_refilled_into_an_empty_redis_is_brought_up_to_date(
    settings: Settings, ledger: Pool, cache: BalanceCache, until: Until
) -> None:
    """Redis came back empty while nobody published to it; a reader refilled a member, and then the member earned."""
    await post_orders(ledger, 40)
    read = await read_account(ledger, MemberId("member-1"), NOON, SHARDS)
    assert read is not None
    stale = CachedBalance(MemberId("member-1"), read.account.version, None, b"{}")
    await cache.refill(stale, read.position)
    await post_orders(ledger, 40, start=40)
    async with running(Publisher(settings)):
        await until(is_cached(ledger, cache))
    entry = await cache.read(MemberId("member-1"))
    assert entry is not None
    assert entry.version == 8


async def test_redis_takes_nothing_that_ends_before_its_cursor(settings: Settings, cache: BalanceCache) -> None:
    """A reader's refill put the cursor of an empty Redis at 2; what alice got at 2 will never be written any more."""
    alice, bob = [name for name in map("member-{}".format, range(50)) if shard_of(name, SHARDS) == 0][:2]
    shard = shard_of(alice, SHARDS)
    await cache.refill(CachedBalance(MemberId(bob), 1, None, b"{}"), 2)
    stale = CachedBalance(MemberId(alice), 1, None, b"{}")
    assert await cache.apply([ShardNews(shard, 0, 1, [stale])]) == {shard: 2}
    await cache.refill(stale, 1)
    assert await cache.read(MemberId(alice)) is None
    assert await cache.apply([ShardNews(shard, 1, 3, [stale])]) == {shard: 3}
    assert await cache.read(MemberId(alice)) == stale


async def test_an_outage_of_redis_does_not_stop_kafka(
    settings: Settings, ledger: Pool, cache: BalanceCache, until: Until
) -> None:
    elsewhere = settings.model_copy(update={"redis": "redis://127.0.0.1:1/0"})
    await post_orders(ledger, 50)
    async with running(Publisher(elsewhere)):
        await until(is_published(settings, 50))
    async with running(Publisher(settings)):
        await post_orders(ledger, 50, start=50)
        await until(is_published(settings, 100))
        await until(is_cached(ledger, cache))
    assert await versions(settings) == {f"member-{number}": list(range(1, 11)) for number in range(10)}


async def test_a_posting_that_takes_from_very_many_lots_comes_out(
    settings: Settings, ledger: Pool, cache: BalanceCache, until: Until
) -> None:
    """A till books all its guests on one account, and an operator takes back what it has: some 2.2 MB as a record."""
    for start in range(0, GUEST_ORDERS, 1000):
        await post_orders(ledger, 1000, start=start, members=1)
    poster = Poster(ledger, await load_programs(ledger), SHARDS)
    wish = Adjustment(MemberId("member-0"), Wallet("points"), -10 * GUEST_ORDERS, "ann", "no member", NOON)
    event = adjustments.event_of(EventSource("/desk"), AdjustmentId("a-1"), wish)
    assert await adjustments.adjust(poster, adjustments.adjustment_of(event, NOON)) == Outcome.POSTED
    async with running(Publisher(settings)):
        await until(is_cached(ledger, cache))
        await until(is_published(settings, GUEST_ORDERS + 1))
    last = (await published(settings, SHARDS))[-1]
    assert len(orjson.loads(last.value)["movements"]) == GUEST_ORDERS
    assert len(last.value) > 2 << 20


async def test_a_publisher_stops_loudly_at_a_posting_that_kafka_does_not_take(
    settings: Settings, ledger: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    await post_orders(ledger, 1)
    monkeypatch.setattr(share, "RECORD_BYTES_MAX", share.ENVELOPE_BYTES_MAX + 100)
    head = await ledger.fetchrow("SELECT shard, pos FROM shard_heads WHERE pos > 0")
    assert head is not None
    with pytest.raises(
        share.RecordTooLargeError, match=f"the posting at position 1 of shard {head['shard']} has 2 mov"
    ):
        raise await crash_of(Publisher(settings))


async def test_a_publisher_does_not_start_on_a_ledger_that_ends_before_what_is_published(
    settings: Settings, ledger: Pool, until: Until
) -> None:
    await post_orders(ledger, 10, members=1)
    async with running(Publisher(settings)):
        await until(is_published(settings, 10))
    await roll_back(ledger, to=7)
    with pytest.raises(
        RolledBackError, match=r"points-changed has shard . up to position 10, but the ledger ends at 7:"
    ):
        raise await crash_of(Publisher(settings))


async def test_a_publisher_stops_when_the_ledger_is_rolled_back_under_it(
    settings: Settings, ledger: Pool, until: Until
) -> None:
    await post_orders(ledger, 10, members=1)
    worker = Publisher(settings)
    await worker.start()
    await until(is_published(settings, 10))
    await roll_back(ledger, to=7)
    await worker.wait_until_stopped()
    assert isinstance(worker.crash_reason, RolledBackError), worker.crash_reason
    await worker.stop()


async def test_a_publisher_does_not_start_beside_a_redis_that_knows_more_than_the_ledger(
    settings: Settings, ledger: Pool, cache: BalanceCache
) -> None:
    await post_orders(ledger, 10, members=1)
    await cache.refill(CachedBalance(MemberId("member-0"), 12, None, b"{}"), 12)
    with pytest.raises(RolledBackError, match=r"Redis has shard . up to position 12, but the ledger ends at 10:"):
        raise await crash_of(Publisher(settings))


async def test_after_a_restore_all_is_published_anew(
    settings: Settings, ledger: Pool, cache: BalanceCache, until: Until
) -> None:
    """What docs/restore.md says: the topics that were made from the ledger are made again, and Redis is emptied."""
    await post_orders(ledger, 40)
    async with running(Publisher(settings)):
        await until(is_published(settings, 40))
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka)
    await admin.start()
    await admin.delete_topics([settings.topic(POINTS_CHANGED), settings.topic(PUBLISHED)])
    await admin.close()
    await create_topics(settings, SHARDS, Clock.LIVE)
    await forget(settings)
    async with running(Publisher(settings)):
        await until(is_published(settings, 40))
        await until(is_cached(ledger, cache))
    assert await versions(settings) == {f"member-{number}": [1, 2, 3, 4] for number in range(10)}


async def roll_back(ledger: Pool, to: int) -> None:
    """What the publisher sees of a ledger that was restored to an earlier moment."""
    await ledger.execute("UPDATE shard_heads SET pos = $1 WHERE pos > $1", to)


async def crash_of(worker: Publisher) -> BaseException:
    """What a worker ends with that cannot go on."""
    await worker.start()
    await worker.wait_until_stopped()
    reason = worker.crash_reason
    await worker.stop()
    assert reason is not None
    return reason


async def forget(settings: Settings) -> None:
    """What a flush does to this installation."""
    redis = Redis.from_url(settings.redis)
    async for key in redis.scan_iter(f"{{{settings.installation}:*"):
        await redis.delete(key)
    await redis.aclose()


async def dump(settings: Settings) -> dict[bytes, bytes]:
    """What a snapshot keeps of this installation."""
    redis = Redis.from_url(settings.redis)
    found = {key: await redis.dump(key) async for key in redis.scan_iter(f"{{{settings.installation}:*")}
    await redis.aclose()
    return found


async def restore(settings: Settings, snapshot: dict[bytes, bytes]) -> None:
    redis = Redis.from_url(settings.redis)
    await asyncio.gather(*(redis.restore(key, 0, value, replace=True) for key, value in snapshot.items()))
    await redis.aclose()
