"""What Kafka says: how far everything is published, where `points-changed` ends, and where the inputs do."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from services.cli.verify import statements
from services.cli.verify.result import Findings
from services.cli.verify.snapshot import QUERY_TIMEOUT_S
from services.publisher.positions import read_positions
from shared.domain.ids import Shard
from shared.ledger.database import Connection
from shared.ledger.installation import InstallationError
from shared.settings import POINTS_CHANGED, Settings
from shared.stream.topics import PUBLISHED, SHARES
from shared.stream.watermark import InputLog

FETCH_BYTES_MAX = 4 << 20
"""What one answer has at most: some thousands of records, and more than the largest one."""


@dataclass(frozen=True, slots=True)
class Published:
    """What was published before the snapshot was taken: the position of each shard, and where its partition begins
    and ends for a reader of committed records."""

    positions: Mapping[Shard, int]
    beginnings: Mapping[Shard, int]
    ends: Mapping[Shard, int]


@asynccontextmanager
async def open_consumer(settings: Settings) -> AsyncIterator[AIOKafkaConsumer]:
    """A consumer of committed records, in no group."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.kafka, isolation_level="read_committed", max_partition_fetch_bytes=FETCH_BYTES_MAX
    )
    try:
        await consumer.start()
        yield consumer
    finally:
        await consumer.stop()


async def read_published(settings: Settings, shards: int) -> Published:
    """How far everything is published. Read before the snapshot is taken, it cannot be ahead of the ledger."""
    await _check_topics(settings)
    positions: dict[Shard, int] = {}
    for share in range(SHARES):
        members = [Shard(shard) for shard in range(share, shards, SHARES)]
        if members:
            partition = TopicPartition(settings.topic(PUBLISHED), share)
            positions |= await read_positions(settings.kafka, partition, members)
    async with open_consumer(settings) as consumer:
        partitions = [TopicPartition(settings.topic(POINTS_CHANGED), shard) for shard in range(shards)]
        beginnings = await consumer.beginning_offsets(partitions)
        ends = await consumer.end_offsets(partitions)
    return Published(
        positions,
        {Shard(partition.partition): offset for partition, offset in beginnings.items()},
        {Shard(partition.partition): offset for partition, offset in ends.items()},
    )


async def _check_topics(settings: Settings) -> None:
    """Asking for the offsets of a topic that does not exist would only end at a timeout."""
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka)
    try:
        await admin.start()
        topics = await admin.describe_topics([settings.topic(name) for name in (POINTS_CHANGED, PUBLISHED)])
    finally:
        await admin.close()
    for topic in topics:
        if not topic["partitions"]:
            raise InstallationError(f"the topic {topic['topic']} does not exist; `pointstream init` makes it")


async def check_offsets(connection: Connection, settings: Settings, published: Published, findings: Findings) -> None:
    """Hold what the ledger says of the log against the log, which is asked now: it can only have grown since the
    snapshot."""
    heads = await connection.fetch("SELECT shard, pos FROM shard_heads ORDER BY shard")
    for row in heads:
        shard, head = row["shard"], row["pos"]
        position = published.positions.get(shard, 0)
        if position > head:
            findings.add("published_ahead", {"shard": shard, "position": position, "head": head})
    findings.compared += len(heads)
    rows = await connection.fetch(statements.CONSUMER_OFFSETS, timeout=QUERY_TIMEOUT_S)
    ends, beginnings = await _input_offsets(settings)
    for row in rows:
        partition = TopicPartition(row["topic"], row["partition"])
        facts = dict(row) | {"end": ends.get(partition, 0), "beginning": beginnings.get(partition, 0)}
        if row["next_offset"] > facts["end"]:
            findings.add("read_ahead", facts)
        elif 0 < row["next_offset"] < facts["beginning"]:
            findings.add("deleted_unread", facts)
    findings.compared += len(rows)


async def _input_offsets(settings: Settings) -> tuple[dict[TopicPartition, int], dict[TopicPartition, int]]:
    """Where each partition of the inputs ends and begins."""
    log = InputLog(settings)
    await log.open()
    try:
        ends = await log.ends()
    finally:
        await log.close()
    async with open_consumer(settings) as consumer:
        return ends, dict(await consumer.beginning_offsets(list(ends)))
