"""One share: a fixed group of shards, published by one producer whose transactional id fences every older one."""

import asyncio
from collections.abc import Callable, Mapping

import structlog
from aiokafka import AIOKafkaProducer, TopicPartition

from services.publisher.cache import CacheTail
from services.publisher.positions import Positions, dump_positions, read_positions
from services.publisher.records import OutRecord, record_of
from shared.domain.ids import Shard
from shared.ledger.database import Pool, Record
from shared.ledger.journal import read_movements, read_postings
from shared.metrics import PUBLISHED as PUBLISHED_POSTINGS
from shared.settings import POINTS_CHANGED, Settings
from shared.stream.topics import PUBLISHED

BATCH_BYTES_MAX = 900_000
"""Of records in one request to a partition: below what the broker takes."""

RETRY_BACKOFF_MS = 5
"""After each commit the broker turns the next send away for a moment; with the default of 100 ms that decides the
rate (DESIGN 7)."""

TRANSACTION_TIMEOUT_MS = 15_000
"""A publisher that died leaves a transaction open; readers of committed records wait for it so long at most."""

log = structlog.get_logger()


class Share:
    """Publishes the shards of one share, from their committed positions on."""

    def __init__(self, share: int, shards: list[Shard], pool: Pool, cache: CacheTail, settings: Settings) -> None:
        self._share = share
        self._shards = shards
        self._pool = pool
        self._cache = cache
        self._settings = settings
        self._topic = settings.topic(POINTS_CHANGED)
        self._published = TopicPartition(settings.topic(PUBLISHED), share)
        self._source = f"/pointstream/{settings.installation}".encode()
        self._per_shard_max = max(1, settings.publish_postings_max // len(shards))

    async def run(self, owned: Callable[[], bool]) -> None:
        """Publish until cancelled. Raises `ProducerFenced` when another publisher has taken the share over.

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
            positions = await read_positions(settings.kafka, self._published, self._shards)
            self._cache.published = positions
            log.info("publishing", share=self._share, shards=len(self._shards))
            while owned():
                self._cache.published = positions = await self._publish_next(producer, positions)
        finally:
            await producer.stop()

    async def _publish_next(self, producer: AIOKafkaProducer, positions: Positions) -> Positions:
        """Publish what is next in the journal, if anything; returns the positions after it."""
        postings = await read_postings(self._pool, positions, self._per_shard_max)
        if not postings:
            await self._cache.catch_up()
            await asyncio.sleep(self._settings.publish_poll_ms / 1000)
            return positions
        movements = await read_movements(self._pool, positions, postings)
        after = positions | {shard: group[-1]["pos"] for shard, group in postings.items()}
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._send(producer, postings, movements, after))
            tasks.create_task(self._cache.follow(postings))
        PUBLISHED_POSTINGS.inc(sum(map(len, postings.values())))
        if sum(map(len, postings.values())) < self._settings.publish_postings_max // 2:
            await asyncio.sleep(self._settings.publish_pause_ms / 1000)
        return after

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
                records = [
                    record_of(posting, movements.get((shard, posting["pos"]), ()), self._source) for posting in group
                ]
                sent += await self._send_records(producer, shard, records)
            sent.append(
                await producer.send(
                    self._published.topic,
                    key=b"%d" % self._share,
                    value=dump_positions(after),
                    partition=self._share,
                )
            )
            await asyncio.gather(*sent)

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
