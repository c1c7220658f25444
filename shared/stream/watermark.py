"""The watermark: the instant that every input has passed. What falls due by it can be settled without an event."""

from collections.abc import Mapping
from typing import NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from shared.domain.time import Instant
from shared.ledger import statements
from shared.ledger.database import Pool
from shared.settings import Settings
from shared.stream.topics import INPUTS


class NeverReadError(Exception):
    """An input has events, and nobody has ever read it: how far time has come, nobody can say."""


class Reached(NamedTuple):
    """How far a partition was read: its next offset, and the arrival of the last event before it."""

    next_offset: int
    arrived_at: Instant | None


class InputLog:
    """The input topics as the broker has them: their partitions, and where each ends."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka)
        # Uncommitted records count: an event inside an open transaction has arrived, and time must wait for it.
        self._consumer = AIOKafkaConsumer(bootstrap_servers=settings.kafka, isolation_level="read_uncommitted")

    async def open(self) -> None:
        """Connect; raises aiokafka's errors, and is then closed."""
        try:
            await self._admin.start()
            await self._consumer.start()
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Close the connections."""
        await self._consumer.stop()
        await self._admin.close()

    async def ends(self) -> dict[TopicPartition, int]:
        """The end of each partition of each input, with what waits in open transactions."""
        topics = await self._admin.describe_topics([self._settings.topic(name) for name in INPUTS])
        partitions = [
            TopicPartition(topic["topic"], partition["partition"])
            for topic in topics
            for partition in topic["partitions"]
        ]
        return dict(await self._consumer.end_offsets(partitions))


async def ends_of(settings: Settings, topic: str) -> dict[int, int]:
    """The end of each partition of an input, by its full name."""
    log = InputLog(settings)
    await log.open()
    try:
        ends = await log.ends()
    finally:
        await log.close()
    return {partition.partition: end for partition, end in sorted(ends.items()) if partition.topic == topic}


async def read_watermark(
    pool: Pool, log: InputLog, settings: Settings, now: Instant, allowed_lateness_us: int
) -> Instant:
    """The watermark at `now`, which must have been taken before the call. Raises `NeverReadError`."""
    ends = await log.ends()
    topics = [settings.topic(name) for name in INPUTS]
    groups = [settings.group(worker) for worker in INPUTS.values()]
    rows = await pool.fetch(statements.READ_OFFSETS, groups, topics)
    reached = {
        TopicPartition(row["topic"], row["partition"]): Reached(row["next_offset"], row["arrived_at"]) for row in rows
    }
    least = now
    for partition, passed in passed_instants(ends, reached, now).items():
        if passed is None:
            raise NeverReadError(f"{partition.topic}/{partition.partition} has events, and no worker has ever read it")
        least = min(least, passed)
    return Instant(least - allowed_lateness_us)


def passed_instants(
    ends: Mapping[TopicPartition, int], reached: Mapping[TopicPartition, Reached], now: Instant
) -> dict[TopicPartition, Instant | None]:
    """The instant that each partition has passed: now without lag, else the last arrival that was read, None where
    there was none."""
    passed: dict[TopicPartition, Instant | None] = {}
    for partition, end in ends.items():
        next_offset, arrived_at = reached.get(partition, Reached(0, None))
        passed[partition] = now if next_offset >= end else arrived_at
    return passed
