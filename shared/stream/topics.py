"""The installation's topics: made with the partitions and timestamps that the guarantees need."""

import asyncio

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import TopicAlreadyExistsError, for_code

from shared.contracts.inbound import CONTRACTS
from shared.ledger.installation import Clock
from shared.settings import POINTS_CHANGED, Settings

MESSAGE_BYTES_MAX = 2 << 20
"""What the broker takes at most: above what an event may have, so that one too large is refused with a reason."""

RECORD_BYTES_MAX = 16 << 20
"""What the broker takes at most of `points-changed`. A movement takes some 150 bytes in a record, and a posting may
have one for every open lot of its account."""

INPUTS = dict.fromkeys(CONTRACTS, "earn")
"""The topics that are consumed, each with the worker that does."""

PUBLISHED = "published-positions"
"""How far each shard is published: a compacted topic, written in the transaction that publishes. Its partitions are
also what publishers share out among themselves by Kafka's group protocol (docs/adr/0004)."""

LEADERS_TIMEOUT_S = 30

SHARES = 2
"""How many publishers can work at once. Each share is a fixed group of shards with a transactional id of its own."""

ANY_CODEC = {"compression.type": "uncompressed"}
"""Producers may use any codec; the broker undoes it. The workers have a library for gzip alone, and a batch that they
cannot unpack would hold its partition up for ever."""

COMPACTED = {"cleanup.policy": "compact", "segment.bytes": str(8 << 20), "min.cleanable.dirty.ratio": "0.1"}


async def create_topics(settings: Settings, shards: int, clock: Clock) -> None:
    """Make the topics that are missing. Live inputs are stamped by the broker, a replay's carry the events' time."""
    stamp = "LogAppendTime" if clock is Clock.LIVE else "CreateTime"
    wanted = [
        *(_topic(settings, name, shards, {"message.timestamp.type": stamp, **ANY_CODEC}) for name in INPUTS),
        _topic(settings, POINTS_CHANGED, shards, {"max.message.bytes": str(RECORD_BYTES_MAX)}),
        _topic(settings, PUBLISHED, SHARES, COMPACTED),
    ]
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka)
    await admin.start()
    try:
        response = await admin.create_topics(wanted)
        for name, code, *_ in response.topic_errors:
            error = for_code(code)
            if code and error is not TopicAlreadyExistsError:
                raise error(f"topic {name} cannot be made")
        await _until_led(admin, [topic.name for topic in wanted])
    finally:
        await admin.close()


async def _until_led(admin: AIOKafkaAdminClient, names: list[str]) -> None:
    """Wait until every partition has a leader, so that the first send or read is not turned away."""
    async with asyncio.timeout(LEADERS_TIMEOUT_S):
        while True:
            topics = await admin.describe_topics(names)
            partitions = [partition for topic in topics for partition in topic["partitions"]]
            if partitions and all(partition["leader"] >= 0 for partition in partitions):
                return
            await asyncio.sleep(0.05)


def _topic(settings: Settings, name: str, partitions: int, more: dict[str, str]) -> NewTopic:
    configs = {"retention.ms": "-1", "max.message.bytes": str(MESSAGE_BYTES_MAX), **more}
    return NewTopic(
        name=settings.topic(name),
        num_partitions=partitions,
        replication_factor=settings.kafka_replicas,
        topic_configs=configs,
    )


async def delete_topics(settings: Settings) -> None:
    """Remove the installation's topics."""
    names = [settings.topic(name) for name in (*INPUTS, POINTS_CHANGED, PUBLISHED)]
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka)
    await admin.start()
    try:
        await admin.delete_topics(names)
    finally:
        await admin.close()
