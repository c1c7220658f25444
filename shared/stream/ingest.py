"""The ingest: a service that owns partitions, in lanes that read, decode and post them.

Whatever goes wrong with a transaction, the way on is the same: drop what is decoded, claim the partitions again, and
read on from the offsets in the ledger (docs/adr/0006).
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from time import perf_counter

import asyncpg
import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.errors import KafkaConnectionError, KafkaError
from mode import Service

from shared.ledger.batch import Batch, Decode, FencedError, LetterLimits
from shared.ledger.database import CONNECTION_ERRORS, Pool, Role, open_pool
from shared.ledger.installation import Clock, read_installation
from shared.ledger.post import Poster
from shared.ledger.programs import load_programs
from shared.metrics import EVENT_LAG, OWNED_PARTITIONS, REBALANCES
from shared.monitor import OK, Readiness, check_pool, readiness_of
from shared.settings import Settings
from shared.stream.app import STOP_TIMEOUT_S, WorkerService
from shared.stream.backoff import Backoff, count_away
from shared.stream.claim import KAFKA_IS_AWAY, NOTHING_CLAIMED, Claim, claim_partitions
from shared.stream.counting import count_batch, count_events
from shared.stream.lag import EventLag
from shared.stream.lane import ClaimedBatch, Lane, Reading
from shared.stream.shared_lock import SharedLock
from shared.stream.unreadable import explained

COMMIT_EVERY_S = 5.0
"""How often the offsets are told to Kafka, where only tools that show lag look at them."""

FETCH_BYTES_MAX = 16 << 20
"""What the broker hands over at once. It bounds the memory of a worker that has fallen behind."""

PARTITION_FETCH_BYTES_MAX = 1 << 20

REQUEST_TIMEOUT_SESSIONS = 2
"""A broker that was killed may leave a connection behind on which nobody answers. It is waited for longer than a
session lasts, since so long may the group wait for a member that is gone; not for 40 s, the client's default."""

CLAIM_ERRORS: tuple[type[BaseException], ...] = (*CONNECTION_ERRORS, *KAFKA_IS_AWAY, asyncpg.DeadlockDetectedError)
"""What a claim may meet that passes: an outage, or a zombie that holds the same rows in its last transaction."""

log = structlog.get_logger()


class Ingest(WorkerService):
    """Consumes topics as one worker and posts what they say; `decoders` reads the messages of each."""

    def __init__(self, worker: str, decoders: Mapping[str, Decode], settings: Settings) -> None:
        super().__init__()
        self.claim: Claim = NOTHING_CLAIMED
        self._settings = settings
        self._group = settings.group(worker)
        self._decoders = decoders
        self._posting = SharedLock()
        self._lag = EventLag()
        self._backoff = Backoff()
        self._told_kafka_at_s = 0.0
        self._pool: Pool | None = None
        self._consumer: AIOKafkaConsumer | None = None
        self._working: asyncio.Task[None] | None = None
        self._poster: Poster | None = None
        OWNED_PARTITIONS.set_function(lambda: len(self.claim.positions))

    @Service.task
    async def _consume(self) -> None:
        """Wait for PostgreSQL and Kafka, join the group, and work until stopped."""
        pool = await self._open_pool()
        consumer = await self._open_consumer()
        if pool is None or consumer is None:
            return
        async with pool.acquire() as connection:
            installation = await read_installation(connection)
            self._poster = Poster(pool, await load_programs(connection), installation.shards)
        settings = self._settings
        reading = Reading(
            self._group,
            settings.batch_events_max,
            settings.batch_wait_ms,
            installation.clock is Clock.LIVE,
            self._decoders,
            LetterLimits(
                settings.dead_letters_in_a_row_max,
                settings.dead_letters_share_max_percent,
                settings.dead_letters_share_of_messages,
            ),
        )
        if reading.live:
            EVENT_LAG.set_function(self._lag.seconds)
        consumer.subscribe(list(self._decoders), listener=_Listener(self))
        log.info("consuming", topics=list(self._decoders), group=self._group, clock=installation.clock.value)
        lanes = [Lane(number, settings.lanes, self, consumer, reading) for number in range(settings.lanes)]
        self._working = asyncio.create_task(_run_all(lanes))
        try:
            await self._working
        except asyncio.CancelledError:
            if not self.should_stop:
                raise
        except Exception as failure:
            await self.crash(explained(_first(failure), self.claim))

    async def on_stop(self) -> None:
        """Finish the transactions that are under way, then leave the group, so that others take over at once."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._posting.close(), STOP_TIMEOUT_S / 2)
        if self._working is not None:
            self._working.cancel()
            await asyncio.wait({self._working}, timeout=1)
        if self._consumer is not None:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._consumer.stop(), STOP_TIMEOUT_S / 4)
        if self._pool is not None:
            self._pool.terminate()
        log.info("stopped", group=self._group)

    async def readiness(self) -> Readiness:
        """Ready when its partitions are claimed and PostgreSQL answers. To own none is a claim too: with more workers
        than partitions, some stand by."""
        claimed = self.claim is not NOTHING_CLAIMED
        return readiness_of(
            {"partitions": OK if claimed else "not claimed yet", "ledger": await check_pool(self._pool)}
        )

    async def _open_pool(self) -> Pool | None:
        while not self.should_stop:
            try:
                self._pool = await open_pool(self._settings.database, Role.WRITER, max_size=self._settings.lanes + 1)
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
                # The same partitions of every topic, so that members of a shard have one worker for all that they do.
                partition_assignment_strategy=(RangePartitionAssignor,),
                session_timeout_ms=self._settings.session_timeout_ms,
                heartbeat_interval_ms=self._settings.session_timeout_ms // 4,
                fetch_max_bytes=FETCH_BYTES_MAX,
                max_partition_fetch_bytes=PARTITION_FETCH_BYTES_MAX,
                fetch_max_wait_ms=100,
                request_timeout_ms=REQUEST_TIMEOUT_SESSIONS * self._settings.session_timeout_ms,
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
        count_away(error)
        wait_s = self._backoff.next_s()
        log.warning(what, error=str(error) or type(error).__name__, again_in_s=wait_s, group=self._group)
        await self.sleep(wait_s)

    async def post(self, claimed: ClaimedBatch) -> None:
        """Post a batch, or drop it when its claim is over. What fails is claimed anew and read again."""
        if self._poster is None:
            raise RuntimeError("lanes run once everything is open")
        try:
            async with self._posting.shared():
                if claimed.claim is not self.claim:
                    return
                began_at_s = perf_counter()
                with self._lag.of(claimed.batch):
                    posted = await self._poster.post(claimed.batch)
        except FencedError as error:
            log.warning("fenced", reason=str(error), group=self._group)
            await self._start_over(claimed.claim)
        except CONNECTION_ERRORS as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                # The rollback failed in place of the cancellation; whoever asked for the end must get it.
                raise asyncio.CancelledError from error
            await self._wait("PostgreSQL went away", error)
            await self._start_over(claimed.claim)
        else:
            self._backoff.succeeded()
            count_batch(claimed.batch, posted, perf_counter() - began_at_s)
            count_events(posted, self._settings.short_topic)
            log.debug("posted", postings=posted.postings, outcomes=posted.outcomes, duplicates=posted.duplicates)
            await self._tell_kafka(claimed.batch)

    async def _start_over(self, failed: Claim) -> None:
        """Claim again what Kafka still assigns to this worker, and read on from the ledger's offsets."""
        expected = failed
        while not self.should_stop and self._consumer is not None:
            try:
                async with self._posting.alone():
                    if self.claim is expected:
                        expected = NOTHING_CLAIMED  # what an attempt leaves behind that fails
                        await self._take_over(list(self._consumer.assignment()))
            except CLAIM_ERRORS as error:
                await self._wait("PostgreSQL or Kafka is away", error)
            else:
                return

    async def _take_over(self, partitions: list[TopicPartition]) -> None:
        """Claim partitions while no lane posts."""
        if self._pool is not None and self._consumer is not None:
            self.claim = NOTHING_CLAIMED
            self.claim = await claim_partitions(self._pool, self._consumer, self._group, partitions)
            self._lag.read_again()

    async def _tell_kafka(self, batch: Batch) -> None:
        now_s = asyncio.get_running_loop().time()
        if self._consumer is None or now_s - self._told_kafka_at_s < COMMIT_EVERY_S:
            return
        self._told_kafka_at_s = now_s
        with suppress(KafkaError):
            await self._consumer.commit(
                {TopicPartition(item.topic, item.partition): item.next_offset for item in batch.progress}
            )

    async def revoked(self) -> None:
        """Partitions are about to go: let the transactions that are under way finish, and post nothing after them."""
        if self.should_stop:
            return  # on_stop has the lock for good; the next owner's generation fences the rest
        async with self._posting.alone():
            self.claim = NOTHING_CLAIMED

    async def assigned(self, partitions: list[TopicPartition]) -> None:
        """Partitions came: claim them. What fails here would be swallowed by the group's coordinator."""
        REBALANCES.inc()
        log.info("assigned", partitions=len(partitions), group=self._group)
        while not self.should_stop:
            try:
                async with self._posting.alone():
                    await self._take_over(partitions)
            except CLAIM_ERRORS as error:
                await self._wait("PostgreSQL or Kafka is away", error)
            except Exception as error:
                await self.crash(error)
                return
            else:
                return


async def _run_all(lanes: Sequence[Lane]) -> None:
    async with asyncio.TaskGroup() as tasks:
        for lane in lanes:
            tasks.create_task(lane.run())


class _Listener(ConsumerRebalanceListener):
    """Hands the group's decisions to the ingest."""

    def __init__(self, ingest: Ingest) -> None:
        self._ingest = ingest

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        await self._ingest.revoked()

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        await self._ingest.assigned(list(assigned))


def _first(failure: BaseException) -> Exception:
    """What really happened, out of the group that task groups make of it."""
    while isinstance(failure, BaseExceptionGroup):
        failure = failure.exceptions[0]
    return failure if isinstance(failure, Exception) else RuntimeError(repr(failure))
