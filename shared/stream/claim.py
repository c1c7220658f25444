"""Owning partitions: which generation this worker has of each, and where to read on. PostgreSQL decides, not Kafka."""

import asyncio
from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaConnectionError, KafkaTimeoutError

from shared.domain.time import EPOCH
from shared.ledger import statements
from shared.ledger.database import Pool, writing
from shared.stream.backoff import Backoff

NO_PARTITION = TopicPartition("", -1)
"""Polling it gives nothing, but raises what the group protocol has met."""

KAFKA_IS_AWAY: tuple[type[BaseException], ...] = (KafkaConnectionError, KafkaTimeoutError)
"""What asking for offsets meets in an outage."""


class TrimmedError(Exception):
    """Events were deleted from the log before they were read. Nothing can bring them back, so nobody may go on."""


class TruncatedError(Exception):
    """The log is shorter than what the ledger has read of it: it is another log under the same name."""


@dataclass(slots=True)
class Claim:
    """The partitions that a worker owns since its last assignment: their generation, and the next offset of each."""

    generations: dict[TopicPartition, int]
    positions: dict[TopicPartition, int]


NOTHING_CLAIMED = Claim({}, {})


async def claim_partitions(
    pool: Pool, consumer: AIOKafkaConsumer, group: str, partitions: list[TopicPartition]
) -> Claim:
    """Become the owner of `partitions`, fence whoever was it before, and seek to where the ledger stands.

    Raises `TrimmedError` where the log begins behind that, `TruncatedError` where it ends before.
    """
    if not partitions:
        return Claim({}, {})
    async with writing(pool) as connection:
        rows = await connection.fetch(
            statements.CLAIM_PARTITIONS,
            group,
            [partition.topic for partition in partitions],
            [partition.partition for partition in partitions],
        )
    beginnings = await consumer.beginning_offsets(partitions)
    ends = await consumer.end_offsets(partitions)
    claim = Claim({}, {})
    trimmed: list[TopicPartition] = []
    for row in rows:
        partition = TopicPartition(row["topic"], row["partition"])
        position = _position(partition, row["next_offset"], beginnings[partition])
        check_not_truncated(partition, row["next_offset"], ends[partition])
        claim.generations[partition] = row["generation"]
        claim.positions[partition] = position
        if position > row["next_offset"]:
            trimmed.append(partition)
        consumer.seek(partition, position)
    if trimmed:
        await _begin(pool, group, claim, trimmed)
    return claim


async def _begin(pool: Pool, group: str, claim: Claim, partitions: list[TopicPartition]) -> None:
    """Keep where partitions begin of which nothing was ever read. Without an event to read there it would look like a
    lag for ever, and hold the watermark back."""
    async with writing(pool) as connection:
        await connection.fetch(
            statements.ADVANCE_OFFSETS,
            group,
            [partition.topic for partition in partitions],
            [partition.partition for partition in partitions],
            [claim.positions[partition] for partition in partitions],
            [claim.generations[partition] for partition in partitions],
            [EPOCH] * len(partitions),
        )


async def check_gap(consumer: AIOKafkaConsumer, partition: TopicPartition, expected: int) -> None:
    """Offsets may have gaps (markers of transactions), but not because the log was trimmed under its reader.

    Waits while no broker answers.
    """
    backoff = Backoff()
    while True:
        try:
            beginnings = await consumer.beginning_offsets([partition])
        except KAFKA_IS_AWAY:
            await asyncio.sleep(backoff.next_s())
        else:
            break
    _position(partition, expected, beginnings[partition])


def check_not_truncated(partition: TopicPartition, expected: int, found: int) -> None:
    """Raises `TruncatedError` where the log has an event, or its end, before what the ledger has read already."""
    if found < expected:
        raise TruncatedError(
            f"{partition.topic}/{partition.partition} goes on at offset {found}, but the ledger has read it up to"
            f" {expected}: the topic was made again, or lost. Set its next_offset in consumer_offsets to 0 to"
            " read the new log from its beginning; events that were counted before are known by their ids"
        )


def _position(partition: TopicPartition, expected: int, beginning: int) -> int:
    """Where to read on. A partition that was never read begins where its log does."""
    if expected == 0:
        return beginning
    if expected < beginning:
        raise TrimmedError(
            f"{partition.topic}/{partition.partition} now begins at offset {beginning}, but the ledger has read it up"
            f" to {expected} only: events between were deleted by retention. Send them again, then set next_offset"
            f" of this partition in consumer_offsets to {beginning}"
        )
    return expected
