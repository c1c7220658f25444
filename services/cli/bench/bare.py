"""The bare pipeline: what the same servers and libraries do without a ledger. The yardstick of the bench.

A first process reads the orders, parses them and copies a row each into one table with a primary key; a second one
reads the rows in order, sends a transactional record each, and sets a hash each in Redis. No dedupe, no state, no
decision.
"""

import asyncio
import sys
from typing import Any

import asyncpg
import orjson
import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from redis.asyncio import Redis

from shared.settings import ORDER_PAID, POINTS_CHANGED, Settings
from shared.setup import SHARDS

BATCH = 2_000


async def consume(settings: Settings) -> None:
    """Kafka to PostgreSQL."""
    connection = await asyncpg.connect(settings.database)
    topic = settings.topic(ORDER_PAID)
    partitions = [TopicPartition(topic, shard) for shard in range(SHARDS)]
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.kafka)
    await consumer.start()
    consumer.assign(partitions)
    await consumer.seek_to_beginning(*partitions)
    number = 0
    while True:
        rows = []
        for partition, records in (await consumer.getmany(timeout_ms=100, max_records=BATCH)).items():
            for record in records:
                number += 1
                data = orjson.loads(record.value)
                rows.append((number, data["order_id"], data["member_id"], data["paid"], partition.partition))
        if rows:
            await connection.copy_records_to_table("bare", records=rows)


async def publish(settings: Settings) -> None:
    """PostgreSQL to Kafka and Redis."""
    connection = await asyncpg.connect(settings.database)
    redis = Redis.from_url(settings.redis, protocol=2)
    producer = AIOKafkaProducer(
        bootstrap_servers=settings.kafka,
        transactional_id=f"{settings.installation}-bare",
        retry_backoff_ms=5,
        max_batch_size=900_000,
        acks="all",
    )
    await producer.start()
    position = 0
    while True:
        rows = await connection.fetch("SELECT * FROM bare WHERE n > $1 ORDER BY n LIMIT $2", position, BATCH)
        if not rows:
            await asyncio.sleep(0.015)
            continue
        await send(producer, settings.topic(POINTS_CHANGED), rows)
        async with redis.pipeline(transaction=False) as pipeline:
            for row in rows:
                pipeline.hset(f"{settings.installation}:bare:{row['member_id']}", "paid", row["paid"])
            pipeline.set(f"{settings.installation}:bare", rows[-1]["n"])
            await pipeline.execute()
        position = rows[-1]["n"]


async def send(producer: AIOKafkaProducer, topic: str, rows: list[asyncpg.Record]) -> None:
    """One transaction, in batches that are built by hand."""
    async with producer.transaction():
        batches: dict[int, Any] = {}
        for row in rows:
            batch = batches.get(row["shard"])
            if batch is None:
                batch = batches[row["shard"]] = producer.create_batch()
            value = orjson.dumps({"order_id": row["event_id"], "member_id": row["member_id"], "paid": row["paid"]})
            batch.append(key=row["member_id"].encode(), value=value, timestamp=None)
        sent = [await producer.send_batch(batch, topic, partition=shard) for shard, batch in batches.items()]
        await asyncio.gather(*sent)


if __name__ == "__main__":
    uvloop.install()
    asyncio.run({"consume": consume, "publish": publish}[sys.argv[1]](Settings()))
