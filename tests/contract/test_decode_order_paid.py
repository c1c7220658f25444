"""An order that keeps the contract is read, in either mode, and always alike."""

import json
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import pytest
from contract_messages import DATA, binary, data_with, data_without, structured

from shared.contracts import order_paid
from shared.contracts.headers import Headers, encode_headers
from shared.contracts.order_paid import decode
from shared.domain.facts import EventRef, Order
from shared.domain.ids import EventId, EventSource, LineId, MemberId, OrderId
from shared.domain.time import Instant, instant_of

ORDER = Order(
    order_id=OrderId("o-1"),
    member_id=MemberId("m-1"),
    currency="USD",
    exponent=2,
    paid=1900,
    shipping=500,
    channel="web",
    store=None,
    occurred_at=instant_of(datetime(2026, 3, 1, 18, 30, 0, 250_000, tzinfo=UTC)),
    lines=[
        {
            "line_id": LineId("1"),
            "sku": "tea",
            "category": "drinks",
            "brand": "Leaf",
            "quantity": 2,
            "list_price": 1000,
            "discount": 100,
            "tax": 90,
            "paid": 790,
            "paid_in_points": 200,
        },
        {
            "line_id": LineId("2"),
            "sku": "cup",
            "category": None,
            "brand": None,
            "quantity": 1,
            "list_price": 610,
            "discount": 0,
            "tax": 0,
            "paid": 610,
            "paid_in_points": 0,
        },
    ],
)
CANONICAL = (
    b'{"order_id":"o-1","member_id":"m-1","currency":"USD","paid":1900,"lines":['
    b'{"line_id":"1","sku":"tea","category":"drinks","brand":"Leaf","quantity":2,"list_price":1000,"discount":100,'
    b'"tax":90,"paid":790,"paid_in_points":200},'
    b'{"line_id":"2","sku":"cup","category":null,"brand":null,"quantity":1,"list_price":610,"discount":0,'
    b'"tax":0,"paid":610,"paid_in_points":0}],'
    b'"shipping":500,"channel":"web","store":null,"occurred_at":"2026-03-01T13:30:00.25-05:00"}'
)


@pytest.mark.parametrize("message", [binary(), structured()], ids=["binary", "structured"])
def test_an_order_is_read_in_either_mode(message: tuple[bytes, Headers]) -> None:
    decoded = decode(*message)
    assert decoded.ref == EventRef(EventSource("/shop"), EventId("e-1"), order_paid.TYPE)
    assert decoded.fact == ORDER


def test_the_digest_of_an_order_is_the_same_in_every_release() -> None:
    """A digest is kept for good: if this fails, every redelivered event would look like a forgery of itself."""
    expected = sha256(b"order-paid.v1\0" + CANONICAL).digest()[:16]
    assert decode(*binary()).digest == expected
    assert decode(*structured()).digest == expected


@pytest.mark.parametrize(
    "value",
    [
        json.dumps(DATA, indent=4).encode(),
        json.dumps(DATA, sort_keys=True, separators=(",", ":")).encode(),
        json.dumps(DATA).replace('"tea"', '"\\u0074ea"').encode(),
        json.dumps(data_without("store")).encode(),
        json.dumps({**DATA, "sent_by": "a proxy"}).encode(),
    ],
    ids=["spaced", "sorted", "escaped", "default left out", "unknown field"],
)
def test_how_an_order_is_written_does_not_change_its_digest(value: bytes) -> None:
    assert decode(*binary(value)) == decode(*binary())


@pytest.mark.parametrize("path", ["order_id", "channel", "shipping", "lines.0.sku", "lines.1.brand"])
def test_another_order_has_another_digest(path: str) -> None:
    changed = data_with(path, 499 if path == "shipping" else "another")
    changed["paid"] = sum(line["paid"] for line in changed["lines"]) + changed["shipping"]
    assert decode(*binary(changed)).digest != decode(*binary()).digest


def test_how_it_was_paid_is_part_of_an_order_only_where_it_is_told() -> None:
    """The field came after the first release: an order without it keeps the digest that it has."""
    told = decode(*binary({**DATA, "payment_method": "card"}))
    assert (told.fact.payment_method, decode(*binary()).fact.payment_method) == ("card", None)
    assert told.digest != decode(*binary()).digest
    canonical = CANONICAL.replace(b'"store":null,', b'"store":null,"payment_method":"card",')
    assert told.digest == sha256(b"order-paid.v1\0" + canonical).digest()[:16]
    for message in (binary({**DATA, "payment_method": None}), structured({"payment_method": None, **DATA})):
        assert decode(*message) == decode(*binary())


def test_unknown_fields_are_passed_over() -> None:
    data = data_with("lines.0.colour", {"name": "blue", "codes": [1, 2.5, 2**80]})
    data["loyalty_card"] = None
    assert decode(*structured(data, traceparent="00-af-01", datacontenttype="application/json")).fact == ORDER
    value, headers = binary(data)
    assert decode(value, [*headers, ("ce_traceparent", b"\xff"), ("retries", b"1"), ("retries", b"2")]).fact == ORDER


def test_optional_fields_may_be_left_out() -> None:
    data = data_with("shipping", 0)
    data["paid"] = 1400
    for field in ("shipping", "channel", "store"):
        del data[field]
    for field in ("category", "brand"):
        del data["lines"][0][field]
    order = decode(*binary(data)).fact
    assert (order.shipping, order.channel, order.store) == (0, None, None)
    assert (order.lines[0]["category"], order.lines[0]["brand"]) == (None, None)


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("content-type", b"application/cloudevents+json; charset=UTF-8")],
        [("content-type", b"Application/CloudEvents+JSON")],
    ],
    ids=["no content type", "with a charset", "in capitals"],
)
def test_structured_mode_is_known_by_its_content_type_or_the_lack_of_one(headers: Headers) -> None:
    assert decode(structured()[0], headers).fact == ORDER


def test_binary_mode_needs_no_content_type() -> None:
    value, headers = binary()
    assert decode(value, [header for header in headers if header[0] != "content-type"]).fact == ORDER


def test_what_is_encoded_can_be_decoded() -> None:
    headers = encode_headers(
        event_id="e-1",
        source="/shop",
        event_type=order_paid.TYPE,
        time="2026-03-01T18:30:01Z",
        subject="m-1",
        partition_key="m-1",
    )
    assert decode(json.dumps(DATA).encode(), headers) == decode(*binary())
    assert dict(headers) == {
        "ce_specversion": b"1.0",
        "ce_id": b"e-1",
        "ce_source": b"/shop",
        "ce_type": b"pointstream.order-paid.v1",
        "ce_time": b"2026-03-01T18:30:01Z",
        "ce_subject": b"m-1",
        "ce_partitionkey": b"m-1",
        "content-type": b"application/json",
    }


@pytest.mark.parametrize(
    "text",
    [
        "2026-03-01T18:30:05Z",
        "2026-03-01t18:30:05z",
        "2026-03-01T18:30:05.1Z",
        "2026-03-01T18:30:05.123456789012Z",
        "2026-03-01T13:30:05-05:00",
        "2026-03-02T02:30:05.250+08:00",
        "2026-03-01T18:30:05-00:00",
        "2016-12-31T23:59:60Z",
        "2000-02-29T00:00:00+23:59",
        "0000-02-29T00:00:00Z",
        "9999-12-31T23:59:59Z",
    ],
)
def test_the_time_of_a_well_formed_sender_decides_nothing(text: str) -> None:
    """Whatever RFC 3339 takes for an instant."""
    assert decode(*binary(DATA, time=text)) == decode(*binary())
    assert decode(*structured(DATA, time=text)) == decode(*structured())


def test_a_time_that_is_null_is_none() -> None:
    """CloudEvents in JSON has it so: null is as good as leaving an attribute out."""
    assert decode(*structured(DATA, time=None)) == decode(*structured())
    value, headers = binary()
    assert decode(value, [*headers, ("ce_time", None)]) == decode(*binary())


def test_text_of_any_language_is_kept() -> None:
    data = data_with("lines.0.category", "饮料 ☕ \\u0000 😀")
    for message in (binary(data), structured(data), binary(json.dumps(data, ensure_ascii=False).encode())):
        assert decode(*message).fact.lines[0]["category"] == "饮料 ☕ \\u0000 😀"
    assert decode(*binary(DATA, id="订单-1")).ref.event_id == "订单-1"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-12-31T16:00:00Z", datetime(2026, 12, 31, 16, tzinfo=UTC)),
        ("2026-12-31T23:59:59.999999+08:00", datetime(2026, 12, 31, 15, 59, 59, 999_999, tzinfo=UTC)),
        ("2026-12-31T23:59:59.999999999+08:00", datetime(2026, 12, 31, 15, 59, 59, 999_999, tzinfo=UTC)),
        ("2024-02-29T00:00:00.1-09:30", datetime(2024, 2, 29, 9, 30, 0, 100_000, tzinfo=UTC)),
        ("2000-01-01T00:00:00+14:00", datetime(1999, 12, 31, 10, tzinfo=UTC)),
        ("2100-12-31T23:59:59-00:00", datetime(2100, 12, 31, 23, 59, 59, tzinfo=UTC)),
    ],
)
def test_an_instant_is_exact_to_the_microsecond(text: str, expected: datetime) -> None:
    data = data_with("occurred_at", text)
    since_epoch = expected - datetime(2000, 1, 1, tzinfo=UTC)
    assert decode(*binary(data)).fact.occurred_at == Instant(since_epoch // timedelta(microseconds=1))
