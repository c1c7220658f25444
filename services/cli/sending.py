"""Sending events in bulk: records in batches built by hand, for the partition that the default partitioner gives."""

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaProducer

from shared.contracts.headers import encode_headers
from shared.contracts.order_paid import TYPE
from shared.domain.time import Instant, rfc3339, unix_ms
from shared.ledger.sharding import shard_of

BATCH_BYTES = 256 << 10
IN_FLIGHT_MAX = 32
"""Batches that wait for their acknowledgement; more would only fill memory."""


@dataclass(slots=True)
class Outgoing:
    """An event to send: its identity, its key, when it arrives, its data as JSON, and its type."""

    source: str
    event_id: str
    member_id: str
    arrived_at: Instant
    value: bytes
    event_type: str = TYPE

    def headers(self) -> list[tuple[str, bytes]]:
        """What it says of itself in binary mode."""
        return encode_headers(
            event_id=self.event_id,
            source=self.source,
            event_type=self.event_type,
            time=rfc3339(self.arrived_at),
            partition_key=self.member_id,
        )


class Sender:
    """Sends events to a topic in binary mode, in the order given within each partition."""

    def __init__(self, producer: AIOKafkaProducer, topic: str, partitions: int) -> None:
        self._producer = producer
        self.topic = topic
        self._partitions = partitions
        self._batches: dict[int, Any] = {}
        self._in_flight: deque[asyncio.Future[object]] = deque()
        self.sent = 0
        self.sent_to = [0] * partitions
        """By partition."""

    async def send(self, event: Outgoing) -> None:
        """Add an event; a batch that is full goes out."""
        partition = self.partition_of(event)
        if not self._append(partition, event):
            await self._send_batch(partition)
            if not self._append(partition, event):
                raise ValueError(f"event {event.event_id} is larger than a batch of {BATCH_BYTES} bytes")
        self.sent += 1
        self.sent_to[partition] += 1

    def partition_of(self, event: Outgoing) -> int:
        """The partition that the default partitioner gives for its member."""
        return shard_of(event.member_id, self._partitions)

    async def push(self) -> None:
        """Send what is left, and do not wait for the brokers."""
        for partition in list(self._batches):
            await self._send_batch(partition)

    async def flush(self) -> None:
        """Send what is left, and return when the brokers have everything."""
        await self.push()
        while self._in_flight:
            await self._in_flight.popleft()

    def _append(self, partition: int, event: Outgoing) -> bool:
        batch = self._batches.get(partition)
        if batch is None:
            batch = self._batches[partition] = self._producer.create_batch()
        timestamp_ms = unix_ms(event.arrived_at)
        appended = batch.append(
            key=event.member_id.encode(), value=event.value, timestamp=timestamp_ms, headers=event.headers()
        )
        return appended is not None

    async def _send_batch(self, partition: int) -> None:
        batch = self._batches.pop(partition)
        self._in_flight.append(await self._producer.send_batch(batch, self.topic, partition=partition))
        if len(self._in_flight) >= IN_FLIGHT_MAX:
            await self._in_flight.popleft()


def bulk_producer(kafka: str) -> AIOKafkaProducer:
    """A producer for a `Sender`."""
    return AIOKafkaProducer(bootstrap_servers=kafka, acks="all", max_batch_size=BATCH_BYTES, enable_idempotence=True)
