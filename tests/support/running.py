"""Workers inside the test's own process, and what tests do with Kafka."""

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from mode import Service

from shared.domain.time import Instant, unix_ms
from shared.settings import POINTS_CHANGED, Settings

Headers = list[tuple[str, bytes]]


@asynccontextmanager
async def running(*services: Service) -> AsyncIterator[None]:
    """Run services for as long as the block lasts; one that crashed fails the test."""
    for service in services:
        await service.start()
    try:
        yield
    finally:
        for service in services:
            await service.stop()
        for service in services:
            if service.crash_reason is not None:
                raise service.crash_reason


async def send(settings: Settings, topic: str, values: Iterable[bytes | Mapping[str, object] | None]) -> None:
    """Send values (or structured events, keyed by their member) and wait until the broker has them."""
    producer = AIOKafkaProducer(bootstrap_servers=settings.kafka, acks="all", max_request_size=4 << 20)
    await producer.start()
    try:
        for value in values:
            if isinstance(value, Mapping):
                await producer.send(settings.topic(topic), orjson.dumps(value), key=_member(value), headers=[])
            else:
                await producer.send(settings.topic(topic), value, key=b"any")
        await producer.flush()
    finally:
        await producer.stop()


async def send_at(settings: Settings, topic: str, event: Mapping[str, object], arrived_at: Instant) -> None:
    """Send a structured event with the time of its arrival, as a replay does."""
    producer = AIOKafkaProducer(bootstrap_servers=settings.kafka, acks="all")
    await producer.start()
    try:
        await producer.send_and_wait(
            settings.topic(topic), orjson.dumps(event), key=_member(event), timestamp_ms=unix_ms(arrived_at)
        )
    finally:
        await producer.stop()


def _member(event: Mapping[str, object]) -> bytes:
    data = event["data"]
    return str(data["member_id"]).encode() if isinstance(data, Mapping) else b""


async def published(settings: Settings, shards: int) -> list[ConsumerRecord[bytes, bytes]]:
    """Everything that a read_committed consumer sees in points-changed now."""
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.kafka, isolation_level="read_committed")
    await consumer.start()
    try:
        partitions = [TopicPartition(settings.topic(POINTS_CHANGED), shard) for shard in range(shards)]
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        ends = await consumer.end_offsets(partitions)
        records: list[ConsumerRecord[bytes, bytes]] = []
        while any([await consumer.position(partition) < ends[partition] for partition in partitions]):
            for found in (await consumer.getmany(timeout_ms=50)).values():
                records += found
        return records
    finally:
        await consumer.stop()
