"""One share: a fixed group of shards, published by one producer whose transactional id fences every older one."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

import structlog
from aiokafka import AIOKafkaProducer, TopicPartition

from services.publisher.cache import CacheTail
from services.publisher.positions import Positions, dump_positions, ends_of, read_positions
from services.publisher.records import OutRecord, record_of
from services.publisher.tail import check_not_rolled_back
from shared.domain.ids import Shard
from shared.ledger.database import Pool, Record
from shared.ledger.journal import read_movements, read_postings
from shared.metrics import PUBLISHED as PUBLISHED_POSTINGS
from shared.settings import POINTS_CHANGED, Settings
from shared.stream.topics import PUBLISHED, RECORD_BYTES_MAX

BATCH_BYTES_MAX = 900_000
"""Of records in one request to a partition; one that is larger goes alone."""

ENVELOPE_BYTES_MAX = 64 << 10
"""What a record has beside its value, and its batch beside it: ids are bounded."""

RETRY_BACKOFF_MS = 5
"""After each commit the broker turns the next send away for a moment; with the default of 100 ms that decides the
rate (DESIGN 7)."""

TRANSACTION_TIMEOUT_MS = 15_000
"""A publisher that died leaves a transaction open; readers of committed records wait for it so long at most."""

log = structlog.get_logger()


class RecordTooLargeError(Exception):
    """A posting is more than Kafka takes as one record. Those behind it wait for it, so nobody may go on."""


class Share:
    """Publishes the shards of one share, from their committed positions on.

    Two tasks work side by side. One follows the journal and brings it to Redis as it comes; the other publishes what it
    has read, in one transaction after the other. So nobody's balance waits for Kafka.
    """

    def __init__(self, share: int, shards: list[Shard], pool: Pool, cache: CacheTail, settings: Settings) -> None:
        self.published: Positions = {}
        """How far the shards are published; empty as long as nobody has read it."""
        self._share = share
        self._pool = pool
        self._cache = cache
        self._settings = settings
        self._shards = shards
        self._topic = settings.topic(POINTS_CHANGED)
        self._positions = TopicPartition(settings.topic(PUBLISHED), share)
        self._source = f"/pointstream/{settings.installation}".encode()
        self._read = Read(settings.publish_postings_max)
        self._ended = False

    async def run(self, owned: Callable[[], bool]) -> None:
        """Publish until cancelled. Raises `ProducerFenced` when another publisher has taken the share over, and
        `RolledBackError` and `RecordTooLargeError` where it must not go on.

        `owned` says whether the share is still this publisher's. It is asked too, for a cancellation can be lost: where
        an answer comes in the same moment, `asyncio.wait_for` gives that instead, before Python 3.12.
        """
        settings = self._settings
        producer = AIOKafkaProducer(
            bootstrap_servers=settings.kafka,
            transactional_id=f"{settings.group('publisher')}-{self._share}",
            transaction_timeout_ms=TRANSACTION_TIMEOUT_MS,
            max_batch_size=BATCH_BYTES_MAX,
            max_request_size=2 * BATCH_BYTES_MAX,
            retry_backoff_ms=RETRY_BACKOFF_MS,
            acks="all",
        )
        try:
            await producer.start()
            self.published = await read_positions(settings.kafka, self._positions, self._shards)
            await check_not_rolled_back(self._pool, self.published, POINTS_CHANGED)
            self._cache.reached = dict(self.published)
            log.info("publishing", share=self._share, shards=len(self._shards))
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._until_ended(owned, self._follow))
                tasks.create_task(self._until_ended(owned, lambda: self._publish(producer)))
        finally:
            await producer.stop()

    async def _until_ended(self, owned: Callable[[], bool], step: Callable[[], Awaitable[None]]) -> None:
        """Take one step after the other until the share is taken away, or the other task has ended."""
        try:
            while owned() and not self._ended:
                await step()
        finally:
            self._ended = True
            self._read.wake()

    async def _follow(self) -> None:
        """Read what is next in the journal, if anything, and bring it to Redis."""
        settings = self._settings
        per_shard_max = max(1, settings.publish_postings_max // len(self._shards))
        await self._read.until_room()
        postings = await read_postings(self._pool, self._cache.reached, per_shard_max)
        if not postings:
            await self._cache.catch_up()
            await asyncio.sleep(settings.publish_poll_ms / 1000)
            return
        self._read.add(postings)
        await self._cache.follow(postings)
        if all(len(group) < per_shard_max for group in postings.values()):  # else there may be more of it already
            await asyncio.sleep(settings.tail_pause_ms / 1000)

    async def _publish(self, producer: AIOKafkaProducer) -> None:
        """Publish what was read, in one transaction."""
        postings = await self._read.take()
        if not postings:
            return
        movements = await read_movements(self._pool, self.published, postings)
        after = self.published | ends_of(postings)
        await self._send(producer, postings, movements, after)
        self.published = after
        PUBLISHED_POSTINGS.inc(_count(postings))
        if _count(postings) < self._settings.publish_postings_max // 2:
            await asyncio.sleep(self._settings.publish_pause_ms / 1000)

    async def _send(
        self,
        producer: AIOKafkaProducer,
        postings: Mapping[Shard, list[Record]],
        movements: Mapping[tuple[Shard, int], list[Record]],
        after: Positions,
    ) -> None:
        """One transaction: the records of all shards, and how far they go."""
        async with producer.transaction():
            sent: list[asyncio.Future[object]] = []
            for shard, group in postings.items():
                records = [self._record(posting, movements.get((shard, posting["pos"]), ())) for posting in group]
                sent += await self._send_records(producer, shard, records)
            sent.append(
                await producer.send(
                    self._positions.topic,
                    key=b"%d" % self._share,
                    value=dump_positions(after),
                    partition=self._share,
                )
            )
            await asyncio.gather(*sent)

    def _record(self, posting: Record, movements: Sequence[Record]) -> OutRecord:
        record = record_of(posting, movements, self._source)
        if len(record.value) > RECORD_BYTES_MAX - ENVELOPE_BYTES_MAX:
            raise RecordTooLargeError(
                f"the posting at position {posting['pos']} of shard {posting['shard']} has {len(movements)} movements,"
                f" and {len(record.value)} bytes as a record; {self._topic} takes no more than {RECORD_BYTES_MAX}"
            )
        return record

    async def _send_records(
        self, producer: AIOKafkaProducer, shard: Shard, records: list[OutRecord]
    ) -> list["asyncio.Future[object]"]:
        """Send records in batches that are built by hand: half the cost of sending them one by one."""
        sent = []
        batch = producer.create_batch()
        for key, value, timestamp_ms, headers in records:
            appended = batch.append(key=key, value=value, timestamp=timestamp_ms, headers=headers)
            if appended is None:
                sent.append(await producer.send_batch(batch, self._topic, partition=shard))
                batch = producer.create_batch()
                batch.append(key=key, value=value, timestamp=timestamp_ms, headers=headers)
        sent.append(await producer.send_batch(batch, self._topic, partition=shard))
        return sent


class Read:
    """What was read of the journal and is not published yet: at most so many postings, and those of one more look."""

    def __init__(self, postings_max: int) -> None:
        self._postings_max = postings_max
        self._postings: dict[Shard, list[Record]] = {}
        self._there = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()

    def add(self, postings: Mapping[Shard, list[Record]]) -> None:
        """Put the next postings of some shards behind those that wait."""
        for shard, group in postings.items():
            self._postings.setdefault(shard, []).extend(group)
        self._there.set()
        if _count(self._postings) >= self._postings_max:
            self._room.clear()

    async def take(self) -> dict[Shard, list[Record]]:
        """All that waits, once there is something; nothing only when somebody was woken up."""
        await self._there.wait()
        taken, self._postings = self._postings, {}
        self._there.clear()
        self._room.set()
        return taken

    async def until_room(self) -> None:
        """Wait while too much waits."""
        await self._room.wait()

    def wake(self) -> None:
        """Let nobody wait any longer."""
        self._there.set()
        self._room.set()


def _count(postings: Mapping[Shard, list[Record]]) -> int:
    return sum(map(len, postings.values()))
