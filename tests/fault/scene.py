"""A round's installation under work: events come in, workers run, and faults look for their moment."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, TypeVar

import asyncpg
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from redis.asyncio import Redis

from services.cli.follow import Follower
from services.cli.processes import Worker
from shared.cache.balances import CACHE_ERRORS, BalanceCache
from shared.domain.ids import Shard
from shared.domain.time import Instant, datetime_of, unix_ms
from shared.ledger.database import CONNECTION_ERRORS
from shared.settings import POINTS_CHANGED, Settings
from tests.fault.events import SHARDS, Events, Sent
from tests.fault.servers import Servers
from tests.fault.waiting import LIMIT_S, NeverError, until
from tests.fault.workers import Running, Team

CHUNK = 200
"""So many messages at most are sent at once."""

HELD_BACK = 3
"""So many of the phases are sent only when the fault has struck, so that there is always something left to do."""

AHEAD_MAX = 400
"""The events run ahead of the workers by so many at most, as in a replay that the workers keep up with."""

POINTS = (0.05, 0.6)
"""Between which parts of all postings faults strike. What is held back is behind that."""

FEED_LIMIT_S = 240.0
"""Sending waits for workers that wait for a server that is away."""

STOP_LIMIT_S = 10.0
AGAIN_S = 0.05
STUCK_S = 0.3
ANSWER_LIMIT_S = 5.0

T = TypeVar("T")


class Scene:
    """What a fault may touch."""

    def __init__(
        self,
        settings: Settings,
        servers: Servers,
        team: Team,
        events: Events,
        postings: int,
        chance: random.Random,
        outages_s: Sequence[float],
    ) -> None:
        self.settings = settings
        self.servers = servers
        self.team = team
        self.chance = chance
        self.outages_s = outages_s
        self.begun = asyncio.Event()
        """Set when events may come."""
        self.struck = asyncio.Event()
        """Set when the fault has happened: then the rest of the events comes."""
        self.told: list[str] = []
        """What was done when, for the line of the round."""
        self._events = events
        self._postings = postings
        self._cache = BalanceCache(settings.redis, settings.installation, SHARDS)
        self._connection: asyncpg.Connection | None = None
        self._talking = asyncio.Lock()
        self._sent = 0
        self._ends: dict[tuple[str, int], int] = {}
        self._held = asyncio.Event()
        self._fed = asyncio.Event()

    async def close(self) -> None:
        """Close what it has open."""
        if self._connection is not None:
            self._connection.terminate()
        await self._cache.close()

    async def start(
        self, *workers: Worker, settings: Settings | None = None, begins: bool = True
    ) -> dict[Worker, Running]:
        """Start workers, by default with the round's settings, and let the events begin to come."""
        started = {worker: self.team.start(worker, settings or self.settings) for worker in workers}
        if begins:
            self.begun.set()
        return started

    def points(self, count: int) -> list[int]:
        """So many moments of the round, in order, as numbers of postings; half of them while refunds come in."""
        return sorted(self._point() for _ in range(count))

    def _point(self) -> int:
        first, last = (int(part * self._postings) for part in POINTS)
        if self.chance.random() < 0.5:
            return self.chance.randrange(first, last)
        return self.chance.choice([each for moments in self._events.refund_moments for each in moments if each < last])

    async def until_posted(self, postings: int) -> None:
        """Wait until the journal has so many postings."""

        async def reached() -> bool:
            return await self.posted() >= postings

        await until(reached, f"{postings} postings are made")

    async def until_cached(self, postings: int) -> None:
        """Wait until the publisher has brought so many postings to Redis."""

        async def reached() -> bool:
            try:
                cursors = await self._cache.cursors([Shard(shard) for shard in range(SHARDS)])
            except CACHE_ERRORS:
                return False
            return sum(position or 0 for position in cursors.values()) >= postings

        await until(reached, f"{postings} postings are published")

    async def posted(self) -> int:
        """How many postings the journal has."""
        return int(await self.ask("SELECT sum(pos)::bigint FROM shard_heads"))

    async def keeps_a_transaction_open(self, worker: Worker) -> bool:
        """Whether one of these workers does not get on with its transaction: in Kafka for the publisher, else in
        PostgreSQL. Those of others end meanwhile."""
        if worker is not Worker.PUBLISHER:
            await asyncio.sleep(STUCK_S)
            return bool(
                await self.ask(
                    "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pointstream writer'"
                    " AND datname = current_database() AND clock_timestamp() - xact_start > interval '0.2 s'"
                )
            )
        before = await self._uncommitted()
        await asyncio.sleep(STUCK_S)
        return bool(before & await self._uncommitted())

    async def _uncommitted(self) -> set[tuple[TopicPartition, int]]:
        """The partitions that a transaction is open in, each with where it begins."""
        partitions = [TopicPartition(self.settings.topic(POINTS_CHANGED), shard) for shard in range(SHARDS)]
        ends = []
        for isolation in ("read_committed", "read_uncommitted"):
            consumer = AIOKafkaConsumer(bootstrap_servers=self.settings.kafka, isolation_level=isolation)
            await consumer.start()
            try:
                ends.append(await consumer.end_offsets(partitions))
            finally:
                await consumer.stop()
        committed, written = ends
        return {(each, committed[each]) for each in partitions if committed[each] < written[each]}

    async def until_held_back(self) -> None:
        """Wait until the workers have read all that comes before the fault has struck."""
        await self._until_set(self._held, "the first part of the events is sent")
        await until(self._all_read, "what was sent is read")

    async def until_at_rest(self) -> None:
        """Wait until everything is sent, read, settled, published and cached."""
        self.struck.set()
        await self._until_set(self._fed, "all events are sent and read")
        try:
            async with asyncio.timeout(LIMIT_S), Follower(self.settings, SHARDS) as follower:
                await follower.until_done(self._events.settled_to)
        except TimeoutError:
            raise NeverError(f"waited {LIMIT_S:.0f} s in vain: everything is settled, published and cached") from None

    async def _until_set(self, event: asyncio.Event, what: str) -> None:
        async def is_set() -> bool:
            return event.is_set()

        await until(is_set, what, limit_s=FEED_LIMIT_S)

    async def _all_read(self) -> bool:
        return await self._read() >= sum(self._ends.values())

    async def feed(self) -> None:
        """Send all events, and let the replay's time pass with them."""
        # It waits for a broker that is killed as long as the round does.
        producer = AIOKafkaProducer(
            bootstrap_servers=self.settings.kafka, acks="all", enable_idempotence=True, request_timeout_ms=120_000
        )
        await producer.start()
        try:
            await self.begun.wait()
            phases = self._events.phases
            for number, phase in enumerate(phases):
                if number == len(phases) - HELD_BACK:
                    self._held.set()
                    await self.struck.wait()
                for first in range(0, len(phase), CHUNK):
                    chunk = phase[first : first + CHUNK]
                    await self._send(producer, chunk)
                    await self._pass_time(chunk[-1].arrived_at)
                    await self._until_near()
                await until(self._all_read, "all events of a phase are read", limit_s=FEED_LIMIT_S)
            await self._send(producer, self._events.copies)
            await until(self._all_read, "all events are read", limit_s=FEED_LIMIT_S)
        finally:
            with suppress(TimeoutError):  # it waits for a broker that a round which failed has left dead
                await asyncio.wait_for(producer.stop(), STOP_LIMIT_S)
        await self._pass_time(self._events.end)
        self._fed.set()

    async def _send(self, producer: AIOKafkaProducer, messages: Sequence[Sent]) -> None:
        acknowledged = [
            await producer.send(
                self.settings.topic(item.topic),
                item.value,
                key=item.key,
                partition=item.partition,
                timestamp_ms=unix_ms(item.arrived_at),
            )
            for item in messages
        ]
        for found in await asyncio.gather(*acknowledged):
            partition = (found.topic, found.partition)
            self._ends[partition] = max(self._ends.get(partition, 0), found.offset + 1)
        self._sent += len(messages)

    @property
    def sent_again(self) -> int:
        """How many messages the producer sent a second time by itself, when a broker died that owed it an answer."""
        return sum(self._ends.values()) - self._sent

    async def _until_near(self) -> None:
        async def near() -> bool:
            return await self._read() >= sum(self._ends.values()) - AHEAD_MAX

        await until(near, "the workers keep up", limit_s=FEED_LIMIT_S)

    async def _read(self) -> int:
        return int(await self.ask("SELECT coalesce(sum(next_offset), 0)::bigint FROM consumer_offsets"))

    async def _pass_time(self, now: Instant) -> None:
        async def move(connection: asyncpg.Connection) -> None:
            await connection.execute("UPDATE installation SET replay_now = greatest(replay_now, $1)", datetime_of(now))

        await self._again(move)

    async def ask(self, question: str) -> Any:
        """One value, when PostgreSQL is there to say it."""

        async def answer(connection: asyncpg.Connection) -> object:
            return await connection.fetchval(question, timeout=ANSWER_LIMIT_S)

        return await self._again(answer)

    async def _again(self, work: Callable[[asyncpg.Connection], Awaitable[T]]) -> T:
        """Do it until PostgreSQL is there to do it."""
        while True:
            try:
                async with self._talking:
                    if self._connection is None or self._connection.is_closed():
                        self._connection = await asyncpg.connect(self.settings.database, timeout=ANSWER_LIMIT_S)
                    return await work(self._connection)
            except CONNECTION_ERRORS:
                if self._connection is not None:
                    self._connection.terminate()
                await asyncio.sleep(AGAIN_S)

    def redis(self) -> Redis:
        """A client of its Redis."""
        return Redis.from_url(self.settings.redis)
