"""`pointstream verify` holds the log against the ledger: `points-changed` to the byte, and the inputs' offsets."""

from collections.abc import Callable

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from services.publisher.positions import dump_positions
from services.publisher.records import OutRecord, record_of
from shared.contracts.points_changed import source_of
from shared.ledger.batch import Batch
from shared.ledger.database import Pool, Role
from shared.ledger.journal import read_movements, read_postings
from shared.ledger.post import post
from shared.ledger.programs import load_programs
from shared.settings import ORDER_PAID, POINTS_CHANGED, Settings
from shared.setup import open_ledger
from shared.stream.topics import PUBLISHED, SHARES
from tests.integration.verify.verifying import SHARD, SHARDS, Verify, event
from tests.support.installing import Make
from tests.support.orders import consumed
from tests.support.running import send


async def records_of(ledger: Pool, settings: Settings) -> list[OutRecord]:
    """The journal of alice's shard as it has to be published."""
    after = {SHARD: 0}
    postings = await read_postings(ledger, after, 1_000)
    movements = await read_movements(ledger, after, postings)
    source = source_of(settings.installation).encode()
    return [record_of(posting, movements[SHARD, posting["pos"]], source) for posting in postings[SHARD]]


Arrange = Callable[[list[OutRecord]], list[OutRecord]]

ARRANGED: dict[str, tuple[Arrange, list[str]]] = {
    "as they are": (lambda records: records, []),
    "one is missing": (
        lambda records: [*records[:3], *records[4:]],
        [f".points-changed/{SHARD}: position 4 is missing"],
    ),
    "some are missing": (
        lambda records: [*records[:3], *records[6:]],
        [f".points-changed/{SHARD}: positions 4 to 6 are missing"],
    ),
    "the last are missing": (
        lambda records: records[:-2],
        [f".points-changed/{SHARD}: positions 9 to 10 are missing"],
    ),
    "one comes twice": (
        lambda records: [*records[:3], records[2], *records[3:]],
        [f".points-changed/{SHARD}, offset 3: position 3 comes after position 3"],
    ),
    "one comes again at the end": (
        lambda records: [*records, records[2]],
        [f".points-changed/{SHARD}, offset 10: position 3 comes after position 10"],
    ),
    "two have changed places": (
        lambda records: [*records[:3], records[4], records[3], *records[5:]],
        [
            f".points-changed/{SHARD}: position 4 is missing",
            f".points-changed/{SHARD}, offset 4: position 4 comes after position 5",
        ],
    ),
    "one has another value": (
        lambda records: [*records[:3], records[3]._replace(value=b"{}"), *records[4:]],
        ["the record of member alice, position 4, has another value than the journal"],
    ),
    "one has another key": (
        lambda records: [*records[:3], records[3]._replace(key=b"bob"), *records[4:]],
        ["the record of member alice, position 4, has another key than the journal"],
    ),
    "one has another header": (
        lambda records: [*records[:3], records[3]._replace(headers=records[3].headers[:-1]), *records[4:]],
        ["the record of member alice, position 4, has another header than the journal"],
    ),
    "one is nobody's": (
        lambda records: [*records[:3], OutRecord(b"x", b"x", 1, []), *records[3:]],
        [f"offset 3: the record is of no posting of shard {SHARD}"],
    ),
    "one was never posted": (
        lambda records: [
            *records,
            records[9]._replace(headers=[("ce_id", b"%d-11" % SHARD)]),
        ],
        [f".points-changed/{SHARD}, offset 10: position 11 is not in the journal"],
    ),
}


@pytest.mark.parametrize("name", ARRANGED)
async def test_the_topic_has_each_posting_once_in_order_to_the_byte(
    make_installation: Make, verified: Verify, name: str
) -> None:
    arrange, sentences = ARRANGED[name]
    settings = await make_installation(topics=True)
    async with open_ledger(settings, Role.WRITER) as ledger:
        events = [consumed(f"o-{number}") for number in range(10)]
        await post(ledger, Batch(events=events), await load_programs(ledger), SHARDS)
        records = await records_of(ledger, settings)
    await publish_by_hand(settings, arrange(records), len(records))
    found = await verified(settings=settings)
    assert (found.code, found.wrong) == ((1, {"topic"}) if sentences else (0, set())), found.differences
    assert len(found.sentences("topic")) == len(sentences)
    for said, sentence in zip(found.sentences("topic"), sentences, strict=True):
        assert sentence in said
    assert "topic" not in (await verified("--no-topic", settings=settings)).checks


async def publish_by_hand(settings: Settings, records: list[OutRecord], position: int) -> None:
    """Send records of alice's shard, and say that they go up to a position."""
    producer = AIOKafkaProducer(bootstrap_servers=settings.kafka, acks="all")
    await producer.start()
    try:
        for record in records:
            await producer.send_and_wait(
                settings.topic(POINTS_CHANGED),
                record.value,
                key=record.key,
                partition=SHARD,
                headers=record.headers,
            )
        share = SHARD % SHARES
        await producer.send_and_wait(
            settings.topic(PUBLISHED), dump_positions({SHARD: position}), key=b"%d" % share, partition=share
        )
    finally:
        await producer.stop()


async def test_events_that_were_deleted_unread_are_found(make_installation: Make, verified: Verify) -> None:
    settings = await make_installation(topics=True)
    await send(settings, ORDER_PAID, [event(number) for number in range(0, 100, 10)])
    partition = TopicPartition(settings.topic(ORDER_PAID), SHARD)
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka)
    await admin.start()
    try:
        await admin.delete_records({partition: RecordsToDelete(8)})
    finally:
        await admin.close()
    async with open_ledger(settings, Role.WRITER) as ledger:
        await ledger.execute("INSERT INTO consumer_offsets VALUES ('g', $1, $2, 5)", partition.topic, SHARD)
    found = await verified(settings=settings)
    assert (found.code, found.wrong) == (1, {"offsets"})
    assert found.sentences("offsets") == [
        f"group g: {partition.topic}/{SHARD} is read up to offset 5, but the log begins at 8"
    ]
