"""From the send of an order to its balance in Redis, and to its record at a reader of committed records.

Some of the orders are probes: each by a member of its own, so that what comes out is known by its key alone.
"""

import asyncio
import itertools
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from services.cli.bench.orders import MEMBERS, order
from services.cli.processes import Worker, running
from services.cli.sending import Outgoing, Sender, bulk_producer
from shared.cache.balances import BalanceCache
from shared.clock import wall_clock
from shared.domain.ids import MemberId
from shared.settings import ORDER_PAID, POINTS_CHANGED, Settings
from shared.setup import SHARDS

TICK_S = 0.05
"""Orders go out so often, all that are due with one request, and a probe among them."""

LOOK_EVERY_S = 0.005
"""How often Redis is asked for the probes that are under way: the error of that figure."""

SETTLE_S = 5.0
"""Of each load, the first seconds are not counted."""

LOST_AFTER_S = 30.0


_numbers = itertools.count(1)
"""No order of this process has the number of another: it would count as a duplicate."""


@dataclass(slots=True)
class Latencies:
    """Milliseconds from the send, a value a probe."""

    redis_ms: list[float] = field(default_factory=list)
    topic_ms: list[float] = field(default_factory=list)


class ProbesLostError(Exception):
    """Probes did not come out in time: the workers cannot keep up with this load."""


async def under_load(settings: Settings, orders_per_s: float, seconds: float) -> Latencies:
    """Latencies while orders arrive at a steady rate."""
    async with _probing(settings) as probes:
        await probes.lone()  # the workers have their partitions once it is out
        # Made before, and sent in bulk: the load shall cost the cores that everything shares as little as it can.
        made = _orders(int((SETTLE_S + seconds) * orders_per_s))
        began_s, sent = time.monotonic(), 0
        while (passed_s := time.monotonic() - began_s) < SETTLE_S + seconds:
            due = int(passed_s * orders_per_s)
            for event in made[sent:due]:
                await probes.sender.send(event)
            sent = due
            if passed_s >= SETTLE_S:
                await probes.probe()
            await probes.sender.push()
            await asyncio.sleep(TICK_S)
        await probes.until_out()
        return probes.latencies


def _orders(count: int) -> list[Outgoing]:
    chance = random.Random(7)  # noqa: S311 (the same orders again, not secrets)
    now = wall_clock()
    return [order(chance, next(_numbers), f"member-{chance.randrange(MEMBERS)}", now) for _ in range(count)]


async def idle(settings: Settings, probes_max: int) -> Latencies:
    """Latencies of lone orders: each is sent when the one before is out and the system has nothing to do."""
    async with _probing(settings) as probes:
        await probes.lone()
        probes.latencies = Latencies()
        for _ in range(probes_max):
            await probes.lone()
            await asyncio.sleep(0.2)
        return probes.latencies


class Probes:
    """Sends orders, and sees the probes among them come out."""

    def __init__(self, settings: Settings, producer: AIOKafkaProducer, cache: BalanceCache) -> None:
        self.latencies = Latencies()
        self.sender = Sender(producer, settings.topic(ORDER_PAID), SHARDS)
        self._cache = cache
        self._chance = random.Random(8)  # noqa: S311
        self._in_redis: dict[MemberId, float] = {}
        self._in_topic: dict[MemberId, float] = {}

    async def probe(self) -> None:
        """Add an order whose way is timed to what is pushed next."""
        number = next(_numbers)
        member_id = MemberId(f"probe-{number}")
        event = order(self._chance, number, member_id, wall_clock())
        self._in_redis[member_id] = self._in_topic[member_id] = time.monotonic()
        await self.sender.send(event)

    async def lone(self) -> None:
        """Send a probe and wait until it is out."""
        await self.probe()
        await self.sender.push()
        await self.until_out()

    async def until_out(self) -> None:
        """Wait until every probe is in Redis and in the topic. Raises `ProbesLostError`."""
        try:
            async with asyncio.timeout(LOST_AFTER_S):
                while self._in_redis or self._in_topic:
                    await asyncio.sleep(LOOK_EVERY_S)
        except TimeoutError:
            raise ProbesLostError(f"{len(self._in_redis | self._in_topic)} orders are not out after a while") from None

    async def watch_redis(self) -> None:
        """Look for the probes under way, again and again."""
        while True:
            members = list(self._in_redis)
            for member_id, found in zip(members, await self._cache.read_many(members), strict=True):
                if found is not None:
                    self.latencies.redis_ms.append((time.monotonic() - self._in_redis.pop(member_id)) * 1000)
            await asyncio.sleep(LOOK_EVERY_S)

    async def watch_topic(self, consumer: AIOKafkaConsumer) -> None:
        """Read what is committed, as it comes."""
        while True:
            for records in (await consumer.getmany(timeout_ms=1000)).values():
                for record in records:
                    sent_at_s = self._in_topic.pop(record.key.decode(), None)
                    if sent_at_s is not None:
                        self.latencies.topic_ms.append((time.monotonic() - sent_at_s) * 1000)


@asynccontextmanager
async def _probing(settings: Settings) -> AsyncIterator[Probes]:
    cache = BalanceCache(settings.redis, settings.installation, SHARDS)
    producer = bulk_producer(settings.kafka)
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.kafka, isolation_level="read_committed")
    await producer.start()
    await consumer.start()
    topic = settings.topic(POINTS_CHANGED)
    consumer.assign([TopicPartition(topic, shard) for shard in range(SHARDS)])
    await consumer.seek_to_end()
    probes = Probes(settings, producer, cache)
    watching = [asyncio.create_task(probes.watch_redis()), asyncio.create_task(probes.watch_topic(consumer))]
    try:
        async with running([Worker.EARN, Worker.PUBLISHER], settings, log_level="warning"):
            yield probes
    finally:
        for task in watching:
            task.cancel()
        await asyncio.gather(*watching, return_exceptions=True)
        await consumer.stop()
        await producer.stop()
        await cache.close()
