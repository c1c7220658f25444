"""Topics that are there already: `init` refuses those that cannot work, and `send` tells what Kafka refuses."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path

import orjson
import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from shared.contracts import order_paid, refund
from shared.ledger.installation import Clock
from shared.settings import ORDER_PAID, POINTS_CHANGED, REFUND, Settings
from shared.setup import SHARDS
from shared.stream.topics import PUBLISHED, create_topics, delete_topics
from tests.integration.test_commands import pointstream
from tests.support.installing import Make

STAMPED = {"message.timestamp.type": "LogAppendTime"}
DAY_MS = 86_400_000
REFUSING = {"max.message.bytes": "100"}
"""A record of an event is larger than that."""

MakeTopics = Callable[..., Awaitable[Settings]]


@pytest.fixture
async def platform(make_installation: Make) -> AsyncIterator[MakeTopics]:
    """An installation of which the platform has made some topics, by name: partitions and configuration."""
    async with AsyncExitStack() as cleanup:

        async def make(topics: Mapping[str, tuple[int, dict[str, str]]]) -> Settings:
            settings = await make_installation(shards=SHARDS)
            admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka)
            await admin.start()
            cleanup.push_async_callback(delete_topics, settings)
            await admin.create_topics(
                [
                    NewTopic(settings.topic(name), partitions, 1, topic_configs=configs)
                    for name, (partitions, configs) in topics.items()
                ]
            )
            await admin.close()
            return settings

        yield make


async def test_init_names_every_topic_that_cannot_work_with_what_it_has_and_needs(platform: MakeTopics) -> None:
    settings = await platform(
        {
            ORDER_PAID: (4, {**STAMPED, **REFUSING, "retention.ms": str(DAY_MS - 1)}),
            REFUND: (4, {"cleanup.policy": "compact"}),
            POINTS_CHANGED: (1, {}),
            PUBLISHED: (3, {"max.message.bytes": "3000000"}),
        }
    )
    code, _, errors = await pointstream("init", settings=settings)
    assert code == 1
    said = [line.strip().removeprefix(f"{settings.installation}.") for line in errors.splitlines() if "  " in line]
    assert said == [
        "order-paid: retention.ms is 86399999 and must be 86400000 or more",
        "order-paid: max.message.bytes is 100 and must be 1048576 or more",
        "refund: cleanup.policy is compact and must be delete",
        "refund: message.timestamp.type is CreateTime and must be LogAppendTime",
        f"points-changed: its number of partitions is 1 and must be {SHARDS}",
        "points-changed: max.message.bytes is 1048588 and must be 16777216 or more",
        "published-positions: its number of partitions is 3 and must be 2",
        "published-positions: cleanup.policy is delete and must be compact",
    ]
    assert "kafka-configs --alter" in errors


async def test_a_platform_may_make_its_inbound_topics_to_its_taste(platform: MakeTopics) -> None:
    """More partitions, Kafka's own week of retention and limit of size, or a longer one and a larger one."""
    settings = await platform(
        {
            ORDER_PAID: (6, STAMPED),
            REFUND: (1, {**STAMPED, "retention.ms": str(400 * DAY_MS), "max.message.bytes": str(8 << 20)}),
        }
    )
    code, _, errors = await pointstream("init", settings=settings)
    assert code == 0, errors


async def test_a_replay_needs_the_events_own_time_in_its_topics(platform: MakeTopics) -> None:
    settings = await platform({ORDER_PAID: (4, STAMPED)})
    with pytest.raises(
        Exception, match=r"order-paid: message\.timestamp\.type is LogAppendTime and must be CreateTime"
    ):
        await create_topics(settings, SHARDS, Clock.REPLAY)


async def test_send_fails_with_the_topic_and_the_reason_where_kafka_refuses_an_event(
    platform: MakeTopics, tmp_path: Path
) -> None:
    settings = await platform({ORDER_PAID: (1, REFUSING), REFUND: (1, {})})
    events = tmp_path / "events.jsonl"
    kinds = [refund.TYPE, order_paid.TYPE, refund.TYPE]
    lines = [orjson.dumps({"type": kind, "data": {"member_id": "ann", "text": "x" * 100}}) for kind in kinds]
    events.write_bytes(b"\n".join(lines))
    code, output, errors = await pointstream("send", "--events", str(events), settings=settings)
    assert (code, output) == (1, "")
    assert f"topic {settings.topic(ORDER_PAID)}: [Error 10] MessageSizeTooLargeError" in errors
    assert "2 of 3 events were accepted" in errors


async def test_order_fails_with_the_topic_and_the_reason_where_kafka_refuses_it(platform: MakeTopics) -> None:
    settings = await platform({ORDER_PAID: (1, REFUSING)})
    code, output, errors = await pointstream("order", "ann", "59.90", settings=settings)
    assert (code, output) == (1, "")
    assert f"topic {settings.topic(ORDER_PAID)}: [Error 10] MessageSizeTooLargeError" in errors
