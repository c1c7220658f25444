"""How far the shards of a share are published: the last record of the share's partition says it."""

from collections.abc import Iterable, Mapping

import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition

from shared.domain.ids import Shard
from shared.ledger.database import Record

Positions = dict[Shard, int]


def dump_positions(positions: Positions) -> bytes:
    """The positions as the value of a record."""
    return orjson.dumps({str(shard): pos for shard, pos in positions.items()})


def ends_of(postings: Mapping[Shard, list[Record]]) -> Positions:
    """The last position of each shard that has postings here."""
    return {shard: group[-1]["pos"] for shard, group in postings.items()}


async def read_positions(kafka: str, partition: TopicPartition, shards: Iterable[Shard]) -> Positions:
    """The committed positions of a share's shards; 0 for one that was never published.

    Call it only after the share's producer has started: that ends a transaction which a dead publisher left open.
    """
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka, isolation_level="read_committed")
    try:
        await consumer.start()
        consumer.assign([partition])
        value = await _last_value(consumer, partition)
    finally:
        await consumer.stop()
    known = {} if value is None else orjson.loads(value)
    return {shard: known.get(str(shard), 0) for shard in shards}


async def _last_value(consumer: AIOKafkaConsumer, partition: TopicPartition) -> bytes | None:
    """The value of the last committed record. Markers and aborted records lie between, so look back ever further."""
    beginning = (await consumer.beginning_offsets([partition]))[partition]
    end = (await consumer.end_offsets([partition]))[partition]
    back = 16
    while True:
        start = max(beginning, end - back)
        last: bytes | None = None
        consumer.seek(partition, start)
        while await consumer.position(partition) < end:
            for records in (await consumer.getmany(partition, timeout_ms=100)).values():
                last = records[-1].value
        if last is not None or start == beginning:
            return last
        back *= 16
