"""After a round: whether the books agree, and whether they say what an undisturbed run says. One call for both."""

import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition

from services.cli.verify.run import verify
from shared.cache.balances import BalanceCache
from shared.domain.ids import MemberId
from shared.ledger.database import Pool, Role
from shared.settings import Settings
from shared.setup import open_ledger
from shared.stream.topics import INPUTS
from tests.fault.content import Content, content_of_ledger
from tests.fault.events import GIFT, GIFTS, SHARDS


async def differences(settings: Settings, expected: Content, *, cache_is_whole: bool, sent_again: int) -> list[str]:
    """Everything that is wrong with an installation that has come to rest; nothing when all is well.

    `cache_is_whole` asks Redis for every member; where Redis was away, a member may be missing but never be old.
    `sent_again` messages are more in the log than were meant to be.
    """
    async with open_ledger(settings, Role.READER) as pool:
        found = [difference.sentence for difference in (await verify(settings)).differences]
        found += await _offsets(settings, pool)
        found += expected.differences(await content_of_ledger(pool), sent_again)
        found += await _gifts(pool)
        found += await _cache(settings, pool, cache_is_whole)
    return found


async def _gifts(pool: Pool) -> list[str]:
    """The budget of gifts was used up, and never exceeded: all of it was given, and what is kept is no more."""
    row = await pool.fetchrow(
        "SELECT coalesce(sum(amount) FILTER (WHERE from_bucket = 'issued'), 0) AS given,"
        " coalesce(sum(amount) FILTER (WHERE to_bucket = 'clawed_back'), 0) AS taken_back FROM movements"
        " WHERE wallet = $1",
        GIFT,
    )
    assert row is not None
    if row["given"] - row["taken_back"] <= GIFTS <= row["given"]:
        return []
    return [f"of {GIFTS} gifts {row['given']} were given, and {row['taken_back']} taken back"]


async def _offsets(settings: Settings, pool: Pool) -> list[str]:
    """Everything was read: the stored offsets are the ends of the logs of both topics."""
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.kafka)
    await consumer.start()
    try:
        partitions = [TopicPartition(settings.topic(name), number) for name in INPUTS for number in range(SHARDS)]
        ends = await consumer.end_offsets(partitions)
    finally:
        await consumer.stop()
    rows = await pool.fetch("SELECT topic, partition, next_offset FROM consumer_offsets")
    stored = {TopicPartition(row["topic"], row["partition"]): row["next_offset"] for row in rows}
    return [
        f"{partition.topic}/{partition.partition} ends at {end}, read up to {stored.get(partition)}"
        for partition, end in ends.items()
        if stored.get(partition, 0) != end
    ]


async def _cache(settings: Settings, pool: Pool, whole: bool) -> list[str]:
    """What Redis shows of a member is what the ledger has."""
    cache = BalanceCache(settings.redis, settings.installation, SHARDS)
    rows = await pool.fetch("SELECT member_id, version, next_due_at, balances FROM accounts")
    try:
        entries = await cache.read_many([MemberId(row["member_id"]) for row in rows])
    finally:
        await cache.close()
    found = []
    for row, entry in zip(rows, entries, strict=True):
        kept = (row["version"], row["next_due_at"], orjson.loads(row["balances"]))
        if entry is None:
            found += [f"Redis knows nothing of {row['member_id']}"] if whole else []
        elif (shown := (entry.version, entry.next_due_at, orjson.loads(entry.balances))) != kept:
            found.append(f"Redis shows {shown} for {row['member_id']}, the ledger has {kept}")
    return found
