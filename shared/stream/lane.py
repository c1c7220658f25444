"""A lane: some of a worker's partitions, read, decoded and posted in their order.

A worker has several lanes, each with a connection of its own: while PostgreSQL writes a batch, the next is decided.
Within a lane two tasks work side by side: while one batch is posted, the next is read and decoded. Between them stands
one batch at most, which is the backpressure.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import IllegalStateError

from shared.domain.time import EPOCH, Instant
from shared.ledger.batch import Batch, Decode, LetterLimits, Progress, arrival_of
from shared.stream.claim import NO_PARTITION, Claim, check_gap, check_not_truncated

LOG_APPEND_TIME = 1

UNCLAIMED_WAIT_MS = 20
"""How soon a lane without partitions looks whether it got some."""


class UnstampedTopicError(Exception):
    """A live topic carries its producers' clocks; one of them could expire everybody's points."""


@dataclass(slots=True)
class ClaimedBatch:
    """A batch, and the claim under which it was read."""

    claim: Claim
    batch: Batch


class Worker(Protocol):
    """What a lane asks of the worker that it belongs to."""

    @property
    def claim(self) -> Claim:
        """What the worker owns now."""
        ...

    async def post(self, claimed: ClaimedBatch) -> None:
        """Post a batch, or drop it when its claim is over."""
        ...


@dataclass(frozen=True, slots=True)
class Reading:
    """How messages are read: the group for which, how many at once, how long to wait, whether time is live, by which
    contract those of each topic, and how many dead letters are too many."""

    group: str
    events_max: int
    wait_ms: int
    live: bool
    decoders: Mapping[str, Decode]
    limits: LetterLimits


class Lane:
    """One of `lanes` lanes: it has the partitions whose number leaves `number` over."""

    def __init__(self, number: int, lanes: int, worker: Worker, consumer: AIOKafkaConsumer, reading: Reading) -> None:
        self._number = number
        self._lanes = lanes
        self._worker = worker
        self._consumer = consumer
        self._reading = reading
        self._decoded: asyncio.Queue[ClaimedBatch] = asyncio.Queue(maxsize=1)

    async def run(self) -> None:
        """Read and post until cancelled; raises what neither time nor a new claim can heal."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._read_on())
            tasks.create_task(self._post_on())

    async def _post_on(self) -> None:
        while True:
            await self._worker.post(await self._decoded.get())

    async def _read_on(self) -> None:
        while True:
            claim = self._worker.claim
            partitions = [partition for partition in claim.positions if self._is_mine(partition)]
            if not partitions:
                await self._consumer.getmany(NO_PARTITION, timeout_ms=UNCLAIMED_WAIT_MS)
                await asyncio.sleep(0)
                continue
            records = await self._consumer.getmany(
                *partitions, timeout_ms=self._reading.wait_ms, max_records=self._reading.events_max
            )
            if claim is not self._worker.claim:
                self._rewind(self._worker.claim)
                continue
            batch = await self._decode(claim, records)
            await self._pass_markers(batch, claim, [partition for partition in partitions if partition not in records])
            if batch.progress and claim is self._worker.claim:
                await self._decoded.put(ClaimedBatch(claim, batch))

    def _is_mine(self, partition: TopicPartition) -> bool:
        return bool(partition.partition % self._lanes == self._number)

    def _rewind(self, claim: Claim) -> None:
        """Read again from where the claim stands: what was just read belonged to an older one and is dropped."""
        assigned = self._consumer.assignment()
        for partition, position in claim.positions.items():
            if partition in assigned and self._is_mine(partition):
                self._consumer.seek(partition, position)

    async def _pass_markers(self, batch: Batch, claim: Claim, partitions: list[TopicPartition]) -> None:
        """Move past what is no event: markers of transactions at the end of a partition. Left unread, they would look
        like a lag for ever, and hold the watermark back."""
        for partition in partitions:
            try:
                position = await self._consumer.position(partition)
            except IllegalStateError:
                return  # it was taken away meanwhile
            if claim is not self._worker.claim:
                return
            expected = claim.positions[partition]
            if position > expected:
                await check_gap(self._consumer, partition, expected)
                claim.positions[partition] = position
                self._advance(batch, claim, partition, EPOCH)

    def _advance(self, batch: Batch, claim: Claim, partition: TopicPartition, arrived_at: Instant) -> None:
        """The batch takes the partition up to the claim's position."""
        batch.progress.append(
            Progress(
                partition.topic,
                partition.partition,
                claim.positions[partition],
                claim.generations[partition],
                arrived_at,
            )
        )

    async def _decode(self, claim: Claim, records: dict[TopicPartition, list[ConsumerRecord[bytes, bytes]]]) -> Batch:
        batch = Batch(group=self._reading.group, limits=self._reading.limits)
        for partition, messages in sorted(records.items()):
            expected = claim.positions[partition]
            check_not_truncated(partition, expected, messages[0].offset)
            if messages[0].offset > expected:
                await check_gap(self._consumer, partition, expected)
            if self._reading.live and messages[0].timestamp_type != LOG_APPEND_TIME:
                raise UnstampedTopicError(
                    f"{partition.topic} carries its producers' time; set message.timestamp.type=LogAppendTime on it"
                )
            batch.take(messages, self._reading.decoders[partition.topic])
            last = messages[-1]
            claim.positions[partition] = last.offset + 1
            self._advance(batch, claim, partition, arrival_of(last))
        return batch
