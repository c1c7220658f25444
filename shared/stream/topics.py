"""The installation's topics: made with the partitions and timestamps that the guarantees need."""

import asyncio
from collections.abc import Mapping, Sequence

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import TopicAlreadyExistsError, for_code

from shared.contracts.inbound import CONTRACTS
from shared.ledger.installation import Clock, InstallationError
from shared.settings import POINTS_CHANGED, Settings
from shared.stream.existing_topics import Existing, obstacles

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

REPLICAS_FOR_TWO_IN_SYNC = 3
"""With so many, a record is acknowledged when two brokers have it, and one broker may be away. Of fewer replicas, to
ask for two would stop the topic with any of its brokers."""

SHARES = 2
"""How many publishers can work at once. Each share is a fixed group of shards with a transactional id of its own."""

ANY_CODEC = {"compression.type": "uncompressed"}
"""Producers may use any codec; the broker undoes it. The workers have a library for gzip alone, and a batch that they
cannot unpack would hold its partition up for ever."""

COMPACTED = {"cleanup.policy": "compact", "segment.bytes": str(8 << 20), "min.cleanable.dirty.ratio": "0.1"}


async def create_topics(settings: Settings, shards: int, clock: Clock) -> None:
    """Make the topics that are missing. Live inputs are stamped by the broker, a replay's carry the events' time.

    Raises `InstallationError` where a topic that is there already cannot work, and Kafka's errors as they are.
    """
    wanted = wanted_topics(settings, shards, clock)
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka)
    await admin.start()
    try:
        response = await admin.create_topics(wanted)
        for name, code, *_ in response.topic_errors:
            error = for_code(code)
            if code and error is not TopicAlreadyExistsError:
                raise error(f"topic {name} cannot be made")
        _check(settings, wanted, await _existing(admin, [topic.name for topic in wanted]))
    finally:
        await admin.close()


def wanted_topics(settings: Settings, shards: int, clock: Clock) -> list[NewTopic]:
    """The topics of an installation, as they are made."""
    stamp = "LogAppendTime" if clock is Clock.LIVE else "CreateTime"
    return [
        *(_topic(settings, name, shards, {"message.timestamp.type": stamp, **ANY_CODEC}) for name in INPUTS),
        _topic(settings, POINTS_CHANGED, shards, {"max.message.bytes": str(RECORD_BYTES_MAX)}),
        _topic(settings, PUBLISHED, SHARES, COMPACTED),
    ]


async def _existing(admin: AIOKafkaAdminClient, names: list[str]) -> dict[str, Existing]:
    """The topics as they are, once every partition has a leader, so that the first send or read is not turned away."""
    partitions = await _led_partitions(admin, names)
    resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
    found = {}
    for answer in await admin.describe_configs(resources):
        for code, message, _, name, entries in answer.resources:
            if code:
                raise for_code(code)(f"the configuration of topic {name} cannot be read: {message}")
            found[name] = Existing(partitions[name], {config: value for config, value, *_ in entries})
    return found


async def _led_partitions(admin: AIOKafkaAdminClient, names: list[str]) -> dict[str, int]:
    """The number of partitions of each topic, when all of them have a leader."""
    async with asyncio.timeout(LEADERS_TIMEOUT_S):
        while True:
            topics = await admin.describe_topics(names)
            if all(_is_led(topic["partitions"]) for topic in topics):
                return {topic["topic"]: len(topic["partitions"]) for topic in topics}
            await asyncio.sleep(0.05)


def _is_led(partitions: Sequence[Mapping[str, int]]) -> bool:
    return bool(partitions) and all(partition["leader"] >= 0 for partition in partitions)


def _check(settings: Settings, wanted: Sequence[NewTopic], existing: Mapping[str, Existing]) -> None:
    """Raises `InstallationError` with all that is wrong with any of the topics."""
    found = [
        f"  {topic.name}: {obstacle}"
        for topic in wanted
        for obstacle in obstacles(topic, existing[topic.name], is_input=settings.short_topic(topic.name) in INPUTS)
    ]
    if found:
        raise InstallationError(
            "Pointstream cannot work with topics that are there already:\n"
            + "\n".join(found)
            + "\nAlter their configuration (`kafka-configs --alter`); delete a topic that has another number of"
            " partitions, if nobody needs what it holds. Then run `pointstream init` again (docs/topics.md)."
        )


def _topic(settings: Settings, name: str, partitions: int, more: dict[str, str]) -> NewTopic:
    configs = {"retention.ms": "-1", "max.message.bytes": str(MESSAGE_BYTES_MAX), **more}
    if settings.kafka_replicas >= REPLICAS_FOR_TWO_IN_SYNC:
        configs["min.insync.replicas"] = "2"
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
