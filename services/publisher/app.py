"""The publisher: the journal goes out to Kafka, exactly once, and to Redis."""

import asyncio
import time
from contextlib import suppress
from typing import NoReturn

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import ConsumerStoppedError, KafkaConnectionError, KafkaError
from mode import Service

from services.publisher.cache import CacheTail
from services.publisher.share import Share
from services.publisher.tail import RolledBackError, measure_tail
from shared.cache.balances import BalanceCache
from shared.domain.ids import Shard
from shared.ledger.database import CONNECTION_ERRORS, LEDGER_ERRORS, Pool, Role, open_pool
from shared.ledger.installation import read_installation
from shared.metrics import OWNED_PARTITIONS, REBALANCES
from shared.monitor import OK, Readiness, check_pool, readiness_of
from shared.settings import Settings
from shared.stream.app import STOP_TIMEOUT_S, WorkerService, run_worker
from shared.stream.backoff import LAST_S, Backoff, count_away
from shared.stream.claim import NO_PARTITION
from shared.stream.topics import PUBLISHED, SHARES

WORKER = "publisher"

NEVER_POLLED_MS = 2**31 - 1
"""The group's consumer is there for the group protocol only, and never reads; it must not be taken for stuck."""

HEAR_EVERY_MS = 500

MEASURE_EVERY_S = 2.0
"""How old the figures of the journal's tail may be."""

log = structlog.get_logger()


def run(settings: Settings) -> NoReturn:
    """Run the publisher in the foreground until it is told to stop."""
    run_worker(WORKER, settings, lambda: Publisher(settings))


class Publisher(WorkerService):
    """Works on the shares that Kafka's group protocol gives it."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self._settings = settings
        self._shares: dict[int, asyncio.Task[None]] = {}
        self._pool: Pool | None = None
        self._cache: BalanceCache | None = None
        self._consumer: AIOKafkaConsumer | None = None
        self._shards = 0
        self._assigned = False
        self._working: dict[int, Share] = {}
        self._failed: asyncio.Future[None] | None = None

    @Service.task
    async def _publish(self) -> None:
        """Wait for PostgreSQL and Kafka, join the group, and work until stopped."""
        self._failed = asyncio.get_running_loop().create_future()
        backoff = Backoff()
        while not self.should_stop and self._consumer is None:
            try:
                await self._open()
            except (*CONNECTION_ERRORS, KafkaConnectionError) as error:
                count_away(error)
                wait_s = backoff.next_s()
                log.warning("PostgreSQL or Kafka is not there", error=str(error), again_in_s=wait_s)
                await self.sleep(wait_s)
        while not (self.should_stop or self._failed.done()):
            await self._hear_of_the_group()
        await self._failed

    @Service.task
    async def _measure(self) -> None:
        """Measure the journal's tail. A figure that cannot be had does not stop the work."""
        while not self.should_stop:
            if self._pool is not None:
                try:
                    await measure_tail(self._pool, [share.published for share in self._working.values()])
                except LEDGER_ERRORS as error:
                    log.warning("the journal's tail cannot be measured", error=repr(error))
                except RolledBackError as error:
                    self._fail(error)
            await self.sleep(MEASURE_EVERY_S)

    async def readiness(self) -> Readiness:
        """Ready when the group has given it its shares, which may be none, and PostgreSQL answers."""
        shares = OK if self._assigned else "not assigned yet"
        return readiness_of({"partitions": shares, "ledger": await check_pool(self._pool)})

    async def _hear_of_the_group(self) -> None:
        """Errors of the group protocol come to who polls, and to nobody else. This partition does not exist."""
        if self._consumer is None:
            raise RuntimeError("the group is joined before it is heard of")
        with suppress(ConsumerStoppedError):
            await self._consumer.getmany(NO_PARTITION, timeout_ms=HEAR_EVERY_MS)

    async def _open(self) -> None:
        settings = self._settings
        if self._pool is None:
            self._pool = await open_pool(settings.database, Role.PUBLISHER, max_size=2 * SHARES + 1)
        async with self._pool.acquire() as connection:
            installation = await read_installation(connection)
        self._shards = installation.shards
        if self._cache is None:
            self._cache = BalanceCache(settings.redis, settings.installation, installation.shards)
        consumer = AIOKafkaConsumer(
            bootstrap_servers=settings.kafka,
            group_id=settings.group(WORKER),
            enable_auto_commit=False,
            session_timeout_ms=settings.session_timeout_ms,
            heartbeat_interval_ms=settings.session_timeout_ms // 4,
            max_poll_interval_ms=NEVER_POLLED_MS,
        )
        try:
            await consumer.start()
        except KafkaConnectionError:
            await consumer.stop()
            raise
        consumer.subscribe([settings.topic(PUBLISHED)], listener=_Listener(self))
        self._consumer = consumer

    async def on_stop(self) -> None:
        """End the transactions that are under way, then leave the group."""
        await self.revoked()
        if self._consumer is not None:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._consumer.stop(), STOP_TIMEOUT_S / 2)
        if self._cache is not None:
            await self._cache.close()
        if self._pool is not None:
            self._pool.terminate()
        if self._failed is not None and not self._failed.done():
            self._failed.set_result(None)
        log.info("stopped", group=self._settings.group(WORKER))

    async def assigned(self, shares: list[int]) -> None:
        """Start to publish these shares."""
        if self._consumer is not None:
            self._consumer.pause(*self._consumer.assignment())
        log.info("assigned", shares=len(shares), group=self._settings.group(WORKER))
        REBALANCES.inc()
        OWNED_PARTITIONS.set(len(shares))
        self._assigned = True
        for share in shares:
            self._shares[share] = asyncio.create_task(self._work_on(share))

    async def revoked(self) -> None:
        """Stop publishing; an open transaction is aborted."""
        tasks = list(self._shares.values())
        self._shares.clear()
        self._working.clear()
        self._assigned = False
        OWNED_PARTITIONS.set(0)
        for task in tasks:
            task.cancel()
        if tasks:
            _, stuck = await asyncio.wait(tasks, timeout=STOP_TIMEOUT_S / 2)
            if stuck:
                log.warning("shares end late; whoever takes them over fences them", shares=len(stuck))

    async def _work_on(self, share: int) -> None:
        """Publish a share until it is taken away. Whatever fails, it starts over from the committed positions."""
        if self._pool is None or self._cache is None:
            raise RuntimeError("a share is worked on once the connections are open")
        shards = [Shard(shard) for shard in range(share, self._shards, SHARES)]
        if not shards:
            return
        backoff = Backoff()
        task = asyncio.current_task()

        def owned() -> bool:
            return self._shares.get(share) is task

        # A cancellation can end as the error of the transaction that it interrupts. A share that was taken away must
        # not start again: it would fence its rightful owner, and be fenced by it, for ever.
        while owned():
            working = Share(share, shards, self._pool, CacheTail(self._cache, self._pool, shards), self._settings)
            if share in self._working:
                working.published = self._working[share].published
            self._working[share] = working
            began_s = time.monotonic()
            try:
                await working.run(owned)
            except Exception as error:
                cause = _cause(error)
                if not owned():
                    return
                if not isinstance(cause, (*CONNECTION_ERRORS, KafkaError)):
                    log.exception("publishing is broken", share=share)
                    self._fail(cause)
                    return
                count_away(cause)
                if time.monotonic() - began_s > LAST_S:
                    backoff.succeeded()  # it had worked again in between
                wait_s = backoff.next_s()
                log.warning("publishing failed", share=share, error=repr(cause), again_in_s=wait_s)
                await asyncio.sleep(wait_s)

    def _fail(self, cause: BaseException) -> None:
        """Nothing that time heals: let the process end."""
        if self._failed is not None and not self._failed.done():
            self._failed.set_exception(cause)


def _cause(error: BaseException) -> BaseException:
    """What really happened, out of the group that a task group makes of it."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


class _Listener(ConsumerRebalanceListener):
    """Hands the group's decisions to the publisher."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        await self._publisher.revoked()

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        await self._publisher.assigned([partition.partition for partition in assigned])
