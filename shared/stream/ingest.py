"""The ingest: batches of messages become decoded batches, and these become postings, one transaction each.

Two tasks work side by side: while one batch is written by PostgreSQL, the next is read and decoded. Between them
stands one batch at most, which is the backpressure. Whatever goes wrong with a transaction, the way on is the same:
drop what is decoded, claim the partitions again, and read on from the offsets in the ledger.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaConnectionError, KafkaError
from mode import Service

from shared.domain.program import Programs
from shared.domain.time import Instant
from shared.ledger.batch import Batch, Consumed, DeadLetter, FencedError, Message, Progress
from shared.ledger.database import CONNECTION_ERRORS, Pool, Role, open_pool
from shared.ledger.installation import Clock, load_programs, read_installation
from shared.ledger.post import post
from shared.settings import Settings
from shared.stream.app import STOP_TIMEOUT_S
from shared.stream.backoff import Backoff
from shared.stream.claim import Claim, check_gap, claim_partitions

LOG_APPEND_TIME = 1
COMMIT_EVERY_S = 5.0
"""How often the offsets are told to Kafka, where only tools that show lag look at them."""

FETCH_BYTES_MAX = 16 << 20
"""What the broker hands over at once. It bounds the memory of a worker that has fallen behind."""

PARTITION_FETCH_BYTES_MAX = 1 << 20

UNCLAIMED_WAIT_S = 0.02
"""How soon a worker without partitions looks whether it got some."""

NOTHING_CLAIMED = Claim({}, {})

log = structlog.get_logger()

Decode = Callable[[Message], Consumed | DeadLetter]


class UnstampedTopicError(Exception):
    """A live topic carries its producers' clocks; one of them could expire everybody's points."""


@dataclass(slots=True)
class _Decoded:
    claim: Claim
    batch: Batch


class Ingest(Service):
    """Consumes topics as one worker and posts what they say."""

    def __init__(self, worker: str, topics: Sequence[str], decode: Decode, settings: Settings) -> None:
        super().__init__()
        self._settings = settings
        self._group = settings.group(worker)
        self._topics = topics
        self._decode = decode
        self._claim = NOTHING_CLAIMED
        self._posting = asyncio.Lock()
        self._decoded: asyncio.Queue[_Decoded] = asyncio.Queue(maxsize=1)
        self._backoff = Backoff()
        self._told_kafka_at_s = 0.0
        self._pool: Pool | None = None
        self._consumer: AIOKafkaConsumer | None = None

    @Service.task
    async def _consume(self) -> None:
        """Wait for PostgreSQL and Kafka, join the group, and work until stopped."""
        pool = await self._open_pool()
        consumer = await self._open_consumer()
        if pool is None or consumer is None:
            return
        async with pool.acquire() as connection:
            installation = await read_installation(connection)
            programs = await load_programs(connection)
        consumer.subscribe(self._topics, listener=_Listener(self))
        log.info("consuming", topics=list(self._topics), group=self._group, clock=installation.clock)
        posting = asyncio.create_task(self._post_all(pool, consumer, programs, installation.shards))
        reading = asyncio.create_task(self._read_all(consumer, installation.clock))
        try:
            done, _ = await asyncio.wait({posting, reading}, return_when=asyncio.FIRST_EXCEPTION)
            for task in done:
                task.result()
        finally:
            posting.cancel()
            reading.cancel()

    async def on_stop(self) -> None:
        """Finish the transaction that is under way, then leave the group, so that others take over at once."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._posting.acquire(), STOP_TIMEOUT_S / 2)
        if self._consumer is not None:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._consumer.stop(), STOP_TIMEOUT_S / 2)
        if self._pool is not None:
            self._pool.terminate()
        log.info("stopped", group=self._group)

    async def _open_pool(self) -> Pool | None:
        while not self.should_stop:
            try:
                self._pool = await open_pool(self._settings.database, Role.WRITER)
            except CONNECTION_ERRORS as error:
                await self._wait("PostgreSQL is not there", error)
            else:
                self._backoff.succeeded()
                return self._pool
        return None

    async def _open_consumer(self) -> AIOKafkaConsumer | None:
        while not self.should_stop:
            consumer = AIOKafkaConsumer(
                bootstrap_servers=self._settings.kafka,
                group_id=self._group,
                enable_auto_commit=False,
                auto_offset_reset="earliest",
                isolation_level="read_committed",
                session_timeout_ms=self._settings.session_timeout_ms,
                heartbeat_interval_ms=self._settings.session_timeout_ms // 4,
                fetch_max_bytes=FETCH_BYTES_MAX,
                max_partition_fetch_bytes=PARTITION_FETCH_BYTES_MAX,
                fetch_max_wait_ms=100,
            )
            try:
                await consumer.start()
            except KafkaConnectionError as error:
                await consumer.stop()
                await self._wait("Kafka is not there", error)
            else:
                self._backoff.succeeded()
                self._consumer = consumer
                return consumer
        return None

    async def _wait(self, what: str, error: BaseException) -> None:
        wait_s = self._backoff.next_s()
        log.warning(what, error=str(error) or type(error).__name__, again_in_s=wait_s, group=self._group)
        await self.sleep(wait_s)

    # Reading

    async def _read_all(self, consumer: AIOKafkaConsumer, clock: Clock) -> None:
        settings = self._settings
        while not self.should_stop:
            claim = self._claim
            if claim is NOTHING_CLAIMED:
                await self.sleep(UNCLAIMED_WAIT_S)
                continue
            records = await consumer.getmany(timeout_ms=settings.batch_wait_ms, max_records=settings.batch_events_max)
            if claim is not self._claim:
                _rewind(consumer, self._claim)
                continue
            if not records:
                continue
            batch = await self._decode_all(consumer, claim, records, clock)
            await self._decoded.put(_Decoded(claim, batch))

    async def _decode_all(
        self,
        consumer: AIOKafkaConsumer,
        claim: Claim,
        records: dict[TopicPartition, list[ConsumerRecord[bytes, bytes]]],
        clock: Clock,
    ) -> Batch:
        batch = Batch(group=self._group)
        for partition, messages in records.items():
            expected = claim.positions[partition]
            if messages[0].offset > expected:
                await check_gap(consumer, partition, expected)
            if clock is Clock.LIVE and messages[0].timestamp_type != LOG_APPEND_TIME:
                raise UnstampedTopicError(
                    f"{partition.topic} carries its producers' time; set message.timestamp.type=LogAppendTime on it"
                )
            for record in messages:
                if record.offset >= expected:
                    self._add(batch, _message(record))
            last = messages[-1]
            claim.positions[partition] = last.offset + 1
            batch.progress.append(
                Progress(
                    partition.topic,
                    partition.partition,
                    last.offset + 1,
                    claim.generations[partition],
                    Instant(last.timestamp * 1000),
                )
            )
        return batch

    def _add(self, batch: Batch, message: Message) -> None:
        item = self._decode(message)
        if isinstance(item, Consumed):
            batch.events.append(item)
        else:
            batch.dead_letters.append(item)

    # Posting

    async def _post_all(self, pool: Pool, consumer: AIOKafkaConsumer, programs: Programs, shards: int) -> None:
        while not self.should_stop:
            decoded = await self._decoded.get()
            try:
                async with self._posting:
                    if decoded.claim is not self._claim:
                        continue
                    posted = await post(pool, decoded.batch, programs, shards)
            except FencedError as error:
                log.warning("fenced", reason=str(error), group=self._group)
                await self._start_over(pool, consumer)
            except CONNECTION_ERRORS as error:
                await self._wait("PostgreSQL went away", error)
                await self._start_over(pool, consumer)
            else:
                self._backoff.succeeded()
                log.debug("posted", postings=posted.postings, outcomes=posted.outcomes, duplicates=posted.duplicates)
                await self._tell_kafka(consumer, decoded.batch)

    async def _start_over(self, pool: Pool, consumer: AIOKafkaConsumer) -> None:
        """Claim again what Kafka still assigns to this worker, and read on from the ledger's offsets."""
        while not self.should_stop:
            try:
                await self._take_over(pool, consumer, list(consumer.assignment()))
            except CONNECTION_ERRORS as error:
                await self._wait("PostgreSQL is away", error)
            else:
                return

    async def _take_over(self, pool: Pool, consumer: AIOKafkaConsumer, partitions: list[TopicPartition]) -> None:
        async with self._posting:
            self._claim = NOTHING_CLAIMED
            self._claim = await claim_partitions(pool, consumer, self._group, partitions)

    async def _tell_kafka(self, consumer: AIOKafkaConsumer, batch: Batch) -> None:
        now_s = asyncio.get_running_loop().time()
        if now_s - self._told_kafka_at_s < COMMIT_EVERY_S:
            return
        self._told_kafka_at_s = now_s
        with suppress(KafkaError):
            await consumer.commit(
                {TopicPartition(item.topic, item.partition): item.next_offset for item in batch.progress}
            )

    # Rebalances

    async def revoked(self) -> None:
        """Partitions are about to go: let the transaction that is under way finish, and post nothing after it."""
        async with self._posting:
            self._claim = NOTHING_CLAIMED

    async def assigned(self, partitions: list[TopicPartition]) -> None:
        """Partitions came: claim them. What fails here would be swallowed by the group's coordinator."""
        log.info("assigned", partitions=len(partitions), group=self._group)
        if self._pool is None or self._consumer is None:
            return
        try:
            await self._take_over(self._pool, self._consumer, partitions)
        except CONNECTION_ERRORS:
            await self._start_over(self._pool, self._consumer)
        except Exception as error:
            await self.crash(error)


class _Listener(ConsumerRebalanceListener):
    """Hands the group's decisions to the ingest."""

    def __init__(self, ingest: Ingest) -> None:
        self._ingest = ingest

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        await self._ingest.revoked()

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        await self._ingest.assigned(list(assigned))


def _rewind(consumer: AIOKafkaConsumer, claim: Claim) -> None:
    """Read again from where the claim stands: what was just read belonged to an older one and is dropped."""
    assigned = consumer.assignment()
    for partition, position in claim.positions.items():
        if partition in assigned:
            consumer.seek(partition, position)


def _message(record: ConsumerRecord[bytes, bytes]) -> Message:
    return Message(
        record.topic,
        record.partition,
        record.offset,
        Instant(record.timestamp * 1000),
        record.key,
        record.value,
        tuple(record.headers),
    )
