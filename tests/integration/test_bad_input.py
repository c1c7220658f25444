"""Whatever is wrong with a message, the worker keeps it with the path of what is wrong, and posts the events around it
in the same transaction."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import orjson
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import MessageSizeTooLargeError
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from services.earn.app import ingest
from shared.clock import wall_clock
from shared.contracts.fields import MAX_LINES
from shared.contracts.headers import Headers, encode_headers
from shared.contracts.order_paid import TYPE
from shared.ledger.database import Pool, Role
from shared.ledger.installation import Clock
from shared.settings import ORDER_PAID, Settings
from shared.setup import open_ledger
from shared.stream.topics import MESSAGE_BYTES_MAX, create_topics, delete_topics
from shared.stream.unreadable import UnreadableLogError
from tests.support.installing import Make
from tests.support.orders import data_of, event_of
from tests.support.raw_batches import ZSTD, batch_of, header_name, send_batch
from tests.support.running import running, send

Until = Callable[[Callable[[], Awaitable[bool]]], Awaitable[None]]

GOOD_AROUND = 3


class Bad(NamedTuple):
    """A message that must not be used: what it is, its value and headers, and what the dead letter must say of it."""

    name: str
    value: bytes | None
    headers: Headers
    defect: str
    path: str


class Raw(NamedTuple):
    """A message to send."""

    value: bytes | None
    headers: Headers


@pytest.fixture
async def settings(make_installation: Make) -> Settings:
    """One partition, so that all of a test can be one batch; and no limit stops its worker."""
    made = await make_installation(topics=True, shards=1)
    return made.model_copy(
        update={"dead_letters_in_a_row_max": 1_000_000, "dead_letters_share_max_percent": 100, "lanes": 1}
    )


@pytest.fixture
async def ledger(settings: Settings) -> AsyncIterator[Pool]:
    async with open_ledger(settings, Role.READER) as pool:
        yield pool


def good(number: int) -> dict[str, Any]:
    return event_of(data_of(f"good-{number}", f"m-{number % 3}", at=wall_clock()))


def wrong(path: str, value: object) -> bytes:
    """An event with one field set, as in `data.lines.0.paid`."""
    event = event_of(data_of("bad", at=wall_clock()))
    *steps, last = (int(step) if step.isdigit() else step for step in path.split("."))
    node: Any = event
    for step in steps:
        node = node[step]
    node[last] = value
    return json.dumps(event).encode()


def without(path: str) -> bytes:
    """An event without one field."""
    event = json.loads(wrong(path, None))
    *steps, last = (int(step) if step.isdigit() else step for step in path.split("."))
    node: Any = event
    for step in steps:
        node = node[step]
    del node[last]
    return json.dumps(event).encode()


def lines(count: int) -> list[dict[str, Any]]:
    line = data_of("bad")["lines"][0]
    return [{**line, "line_id": str(number), "paid": 0, "list_price": 0} for number in range(count)]


def binary(missing: str = "", **changes: bytes | None) -> Bad:
    """An event in binary mode with a header that is missing or wrong."""
    headers: dict[str, bytes | None] = dict(
        encode_headers(event_id="bad", source="/shop", event_type=TYPE, time="2026-03-01T00:00:00Z")
    )
    headers.pop(missing, None)
    headers |= changes
    name = missing or next(iter(changes))
    defect = "missing_header" if missing else "invalid_header"
    value = orjson.dumps(data_of("bad", at=wall_clock()))
    return Bad(f"binary mode: {name} {defect}", value, list(headers.items()), defect, f"headers.{name}")


def structured(name: str, value: bytes | None, defect: str, path: str) -> Bad:
    return Bad(name, value, [], defect, path)


def in_field(name: str, path: str, value: object, defect: str = "invalid_field") -> Bad:
    return structured(name, wrong(path, value), defect, path.replace(".0", "[0]").replace(".1", "[1]"))


VALID = json.dumps(event_of(data_of("bad", at=wall_clock()))).encode()

CATALOGUE: list[Bad] = [
    structured("not JSON", b"<order/>", "not_json", "value"),
    structured("cut off", VALID[:-3], "not_json", "value"),
    structured("not UTF-8", VALID.replace(b"alice", b"\xff\xfe"), "not_json", "value"),
    structured("an empty value", b"", "empty", "value"),
    structured("a tombstone", None, "empty", "value"),
    structured("an array", b"[]", "not_cloudevents", "value"),
    in_field("a text for an amount", "data.paid", "1000"),
    in_field("a fraction for an amount", "data.paid", 10.5),
    in_field("a truth value for an amount", "data.lines.0.paid", True),
    in_field("an object for a text", "data.order_id", {}),
    in_field("a text for the lines", "data.lines", "none"),
    structured("a missing amount", without("data.lines.0.paid"), "invalid_field", "data.lines[0].paid"),
    structured("a missing total", without("data.paid"), "invalid_field", "data.paid"),
    in_field("a negative amount", "data.lines.0.discount", -1),
    in_field("a line that does not add up", "data.lines.0.paid", 999, "lines_do_not_add_up"),
    in_field("lines that do not add up", "data.paid", 999, "lines_do_not_add_up"),
    in_field("an unknown currency", "data.currency", "ZZZ"),
    in_field("a currency in small letters", "data.currency", "usd"),
    in_field("one more than int64 has", "data.paid", 2**63),
    in_field("far beyond int64", "data.lines.0.list_price", 10**300),
    in_field("an instant without an offset", "data.occurred_at", "2026-03-01T00:00:00"),
    in_field("an instant in year 1", "data.occurred_at", "0001-01-01T00:00:00Z"),
    in_field("an instant in year 9999", "data.occurred_at", "9999-12-31T23:59:59Z"),
    in_field("an instant that does not exist", "data.occurred_at", "2026-02-30T00:00:00Z"),
    in_field("another version of CloudEvents", "specversion", "0.3", "wrong_specversion"),
    in_field("an unknown type", "type", "shop.order", "unknown_type"),
    binary("ce_id"),
    binary("ce_source"),
    binary("ce_type"),
    binary("ce_specversion"),
    binary(ce_id=b"\xff"),
    binary(ce_source=None),
    binary(ce_id=b"x" * 10_000),
    in_field("one line too many", "data.lines", lines(MAX_LINES + 1)),
    in_field("no line", "data.lines", []),
    in_field("NUL in a text", "data.channel", "a\0b", "nul_character"),
    in_field("NUL in the id", "id", "a\0b", "nul_character"),
    structured("a raw NUL", VALID.replace(b"alice", b"al\0ice"), "not_json", "value"),
    in_field("a lone surrogate in a text", "data.lines.0.sku", "\ud800", "lone_surrogate"),
    in_field("a lone surrogate in the id", "id", "\udfff", "lone_surrogate"),
    in_field("an event id of 10,000 characters", "id", "x" * 10_000),
    in_field("an order id of 10,000 characters", "data.order_id", "x" * 10_000),
    in_field("a member id of 10,000 characters", "data.member_id", "x" * 10_000),
    structured("arrays in arrays", wrong("data", 0).replace(b": 0", b": " + b"[" * 50_000), "not_json", "value"),
    structured("objects in objects", b'{"a":' * 5_000 + b"1" + b"}" * 5_000, "not_json", "value"),
    structured("a repeated key", VALID.replace(b'"tax"', b'"tax": 1, "tax"'), "repeated_key", "data.lines[0].tax"),
    structured("a repeated attribute", VALID.replace(b'"id"', b'"id": "other", "id"'), "repeated_key", "id"),
]  # fmt: skip


async def send_raw(settings: Settings, messages: Sequence[Raw], **producer_options: Any) -> None:
    producer = AIOKafkaProducer(
        bootstrap_servers=settings.kafka, acks="all", max_request_size=8 << 20, linger_ms=50, **producer_options
    )
    await producer.start()
    try:
        futures = [
            await producer.send(settings.topic(ORDER_PAID), message.value, key=b"any", headers=list(message.headers))
            for message in messages
        ]
        for future in futures:
            await future
    finally:
        await producer.stop()


def structured_raw(event: Mapping[str, Any]) -> Raw:
    return Raw(orjson.dumps(event), [])


@asynccontextmanager
async def foreign_topic(make: Make, configs: dict[str, str]) -> AsyncIterator[Settings]:
    """An installation whose input topic somebody else made, with a configuration of their own."""
    settings = (await make(shards=1)).model_copy(update={"lanes": 1})
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka)
    await admin.start()
    topic_configs = {"message.timestamp.type": "LogAppendTime", **configs}
    await admin.create_topics([NewTopic(settings.topic(ORDER_PAID), 1, 1, topic_configs=topic_configs)])
    await admin.close()
    await create_topics(settings, 1, Clock.LIVE)
    try:
        yield settings
    finally:
        await delete_topics(settings)


async def read_to_the_end(settings: Settings, ledger: Pool, until: Until) -> None:
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.kafka)
    await consumer.start()
    partition = TopicPartition(settings.topic(ORDER_PAID), 0)
    end = (await consumer.end_offsets([partition]))[partition]
    await consumer.stop()

    async def read() -> bool:
        return await ledger.fetchval("SELECT max(next_offset) FROM consumer_offsets") == end

    async with running(ingest(settings)):
        await until(read)


async def test_all_that_can_be_wrong_at_once_with_good_events_around_it_in_one_batch(
    settings: Settings, ledger: Pool, until: Until
) -> None:
    messages: list[Raw] = []
    numbers = iter(range(1_000_000))
    for bad in CATALOGUE:
        messages += [structured_raw(good(next(numbers))), Raw(bad.value, bad.headers)]
    messages += [structured_raw(good(next(numbers))) for _ in range(GOOD_AROUND)]
    await send_raw(settings, messages)
    await read_to_the_end(settings, ledger, until)

    rows = await ledger.fetch(
        'SELECT "offset", defect, path, reason, message_value FROM dead_letters ORDER BY "offset"'
    )
    said = {CATALOGUE[row["offset"] // 2].name: (row["defect"], row["path"]) for row in rows}
    assert said == {bad.name: (bad.defect, bad.path) for bad in CATALOGUE}
    assert all(row["reason"].endswith(".") for row in rows)
    assert [row["message_value"] for row in rows] == [bad.value for bad in CATALOGUE], "kept as they came"

    good_ones = len(CATALOGUE) + GOOD_AROUND
    assert await ledger.fetchval("SELECT count(*) FROM consumed_events WHERE outcome = 'posted'") == good_ones
    transactions = await ledger.fetchval(
        "SELECT count(DISTINCT recorded_at) FROM (SELECT recorded_at FROM dead_letters UNION ALL"
        " SELECT recorded_at FROM consumed_events UNION ALL SELECT recorded_at FROM postings) AS all_rows"
    )
    assert transactions == 1, "the time of its transaction stands on each row"


async def test_the_broker_refuses_what_is_larger_than_the_topic_takes(settings: Settings) -> None:
    with pytest.raises(MessageSizeTooLargeError):
        await send_raw(settings, [Raw(b"x" * (MESSAGE_BYTES_MAX + 1), [])])


@pytest.mark.parametrize("bytes_max", [MESSAGE_BYTES_MAX, 8 << 20], ids=["as Pointstream makes it", "a larger topic"])
async def test_what_the_broker_takes_but_no_event_may_have_is_kept(
    make_installation: Make, until: Until, bytes_max: int
) -> None:
    """Whoever made the topic may let messages in that are larger than a fetch, and than an event."""
    large = VALID.ljust(bytes_max - 1_000)
    async with (
        foreign_topic(make_installation, {"max.message.bytes": str(bytes_max)}) as settings,
        open_ledger(settings, Role.READER) as ledger,
    ):
        await send_raw(settings, [structured_raw(good(0)), Raw(large, []), structured_raw(good(1))])
        await read_to_the_end(settings, ledger, until)
        letter = await ledger.fetchrow("SELECT defect, path, reason, length(message_value) FROM dead_letters")
        assert letter is not None
        reason = f"The value has {len(large)} bytes; the limit is 1048576."
        assert tuple(letter) == ("too_large", "value", reason, len(large))
        assert await ledger.fetchval("SELECT count(*) FROM postings") == 2


async def test_an_event_that_comes_twice_counts_once_whoever_reads_it(make_installation: Make, until: Until) -> None:
    """In one batch, in a later one, and at the same time by two workers, in partitions of their own."""
    settings = await make_installation(topics=True, shards=4)
    events = [good(number) for number in range(60)]
    async with open_ledger(settings, Role.READER) as ledger:

        def has_read(messages: int) -> Callable[[], Awaitable[bool]]:
            async def check() -> bool:
                return bool(await ledger.fetchval("SELECT sum(next_offset) = $1 FROM consumer_offsets", messages))

            return check

        await send(settings, ORDER_PAID, [*events, *events])
        async with running(ingest(settings)):
            await until(has_read(120))
        workers = [ingest(settings), ingest(settings)]
        async with running(*workers):

            async def both_own() -> bool:
                return all(worker.claim.positions for worker in workers)

            await until(both_own)
            more = [good(number) for number in range(60, 120)]
            producer = AIOKafkaProducer(bootstrap_servers=settings.kafka)
            await producer.start()
            for event in more:
                for partition in range(4):
                    await producer.send(settings.topic(ORDER_PAID), orjson.dumps(event), partition=partition)
            await producer.stop()
            await until(has_read(120 + 240))
        assert await ledger.fetchval("SELECT count(*) FROM postings") == 120
        assert await ledger.fetchval("SELECT count(*) FROM dead_letters") == 0
        issued = await ledger.fetchval("SELECT sum(amount)::int FROM movements WHERE wallet = 'points'")
        assert issued == 120 * 10


async def test_a_used_id_with_other_content_is_a_letter_and_the_first_stands(
    settings: Settings, ledger: Pool, until: Until
) -> None:
    first, other = good(0), good(0)
    other["data"] = data_of("other", "m-0", [9900], at=wall_clock())
    await send(settings, ORDER_PAID, [first, other])
    await read_to_the_end(settings, ledger, until)
    await send(settings, ORDER_PAID, [other, first])
    await read_to_the_end(settings, ledger, until)
    rows = await ledger.fetch('SELECT defect, path, source, event_id, "offset" FROM dead_letters ORDER BY "offset"')
    assert [tuple(row) for row in rows] == [
        ("conflicting_duplicate", "id", "/shop", "good-0", 1),
        ("conflicting_duplicate", "id", "/shop", "good-0", 2),
    ]
    assert await ledger.fetchval("SELECT sum(amount)::int FROM movements WHERE wallet = 'points'") == 10


some_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
header_names = st.sampled_from(
    ["content-type", "ce_id", "ce_source", "ce_type", "ce_specversion", "pointstream-letter"]
)
header_values = st.none() | st.binary(max_size=12) | st.sampled_from([b"1.0", b"application/json", TYPE.encode(), b"1"])


@st.composite
def fuzzed(draw: st.DrawFn) -> Raw:
    """Any bytes; or an event with one field or attribute replaced or bytes overwritten, in either mode; any headers."""
    event = event_of(data_of(draw(st.text(max_size=6)) or "x", "m-fuzz", at=wall_clock()))
    in_binary = draw(st.booleans())
    fields = [(event, name) for name in event] + [(event["data"], name) for name in event["data"]]
    fields += [(event["data"]["lines"][0], name) for name in event["data"]["lines"][0]]
    node, name = draw(st.sampled_from(fields))
    kind = draw(st.sampled_from(["bytes", "replaced", "left out", "overwritten", "headers"]))
    if kind == "replaced":
        node[name] = draw(some_json)
    elif kind == "left out":
        del node[name]
    value = json.dumps(event.get("data") if in_binary else event).encode()
    if kind == "bytes":
        value = draw(st.binary(max_size=60))
    elif kind == "overwritten":
        start = draw(st.integers(0, len(value)))
        value = value[:start] + draw(st.binary(max_size=6)) + value[start + draw(st.integers(0, 6)) :]
    headers: list[tuple[str, bytes | None]] = []
    if in_binary:
        attributes = {key: event.get(key) for key in ("id", "source", "type", "specversion")}
        headers = [(f"ce_{key}", str(text).encode(errors="replace")) for key, text in attributes.items()]
    if kind == "headers":
        headers += draw(st.lists(st.tuples(header_names | st.text(max_size=5), header_values), max_size=4))
        headers = [header for header in headers if draw(st.booleans())]
    return Raw(value, headers)


def drawn(count: int) -> list[Raw]:
    """So many fuzzed messages, the same every time."""
    messages: list[Raw] = []

    @examples(
        max_examples=count,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(message=fuzzed())
    def draw(message: Raw) -> None:
        messages.append(message)

    draw()
    return messages


async def test_fuzzed_messages_never_stop_a_worker(settings: Settings, ledger: Pool, until: Until) -> None:
    """Each is read, kept or posted; every good event among them is posted; the worker runs to the end."""
    fuzz = drawn(500)
    messages = [message for number, raw in enumerate(fuzz) for message in (raw, structured_raw(good(number)))]
    await send_raw(settings, messages)
    await read_to_the_end(settings, ledger, until)
    posted = await ledger.fetchval("SELECT count(*) FROM consumed_events WHERE event_id LIKE 'good-%'")
    assert posted == len(fuzz)
    letters = await ledger.fetchval("SELECT count(*) FROM dead_letters")
    others = await ledger.fetchval("SELECT count(*) FROM consumed_events WHERE event_id NOT LIKE 'good-%'")
    assert letters > 200
    assert others > 0, "some of what is drawn can be read, or the rest would only show that nothing can"


async def test_whatever_codec_a_producer_uses_its_events_are_read(
    settings: Settings, ledger: Pool, until: Until
) -> None:
    """The topic has its broker store them without one: this client may have no library for it."""
    batch = batch_of([orjson.dumps(good(number)) for number in range(5)], codec=ZSTD)
    await send_batch(settings.kafka, settings.topic(ORDER_PAID), batch, 5)
    await read_to_the_end(settings, ledger, until)
    assert await ledger.fetchval("SELECT count(*) FROM postings") == 5


async def stopped_by(settings: Settings) -> str:
    """Run a worker that must stop by itself; what it says."""
    worker = ingest(settings)
    await worker.start()
    async with asyncio.timeout(30):
        await worker.wait_until_stopped()
    await worker.stop()
    assert isinstance(worker.crash_reason, UnreadableLogError), worker.crash_reason
    return str(worker.crash_reason)


async def test_a_codec_that_nobody_undid_stops_the_worker_and_is_named(make_installation: Make) -> None:
    async with foreign_topic(make_installation, {"compression.type": "producer"}) as settings:
        batch = batch_of([orjson.dumps(good(0))], codec=ZSTD)
        await send_batch(settings.kafka, settings.topic(ORDER_PAID), batch, 1)
        said = await stopped_by(settings)
    assert "zstd" in said
    assert "compression.type=uncompressed" in said


async def test_a_header_name_that_is_no_text_stops_the_worker_and_is_named(
    settings: Settings, ledger: Pool, until: Until
) -> None:
    """The client gives no message with such a name to anybody. The way on that the worker tells works."""
    topic = settings.topic(ORDER_PAID)
    await send(settings, ORDER_PAID, [good(0)])
    await send_batch(settings.kafka, topic, batch_of([b"{}"], [(header_name(b"\xff\xfe"), b"x")]), 1)
    await send(settings, ORDER_PAID, [good(1)])
    said = await stopped_by(settings)
    assert f"{topic}/0 from 0" in said
    assert "set next_offset" in said
    async with open_ledger(settings, Role.WRITER) as writer:
        await writer.execute("UPDATE consumer_offsets SET next_offset = 2 WHERE topic = $1", topic)
    await read_to_the_end(settings, ledger, until)
    assert await ledger.fetchval("SELECT count(*) FROM consumed_events WHERE event_id = 'good-1'") == 1
