"""A message that breaks the contract is refused, and the refusal says what, where, and in which event."""

import json
from typing import Any

import pytest
from contract_messages import DATA, Message, binary, data_with, data_without, refusal, structured

from shared.contracts import fields
from shared.contracts.defect import Defect
from shared.contracts.order_paid import decode


def named(message: Message) -> tuple[Defect, str]:
    refused = refusal(message)
    return refused.defect, refused.path


FIELDS: list[tuple[dict[str, Any], str]] = [
    (data_without("order_id"), "data.order_id"),
    (data_without("occurred_at"), "data.occurred_at"),
    (data_without("lines.1.tax"), "data.lines[1].tax"),
    (data_with("order_id", ""), "data.order_id"),
    (data_with("order_id", 7), "data.order_id"),
    (data_with("member_id", "m" * 129), "data.member_id"),
    (data_with("member_id", None), "data.member_id"),
    (data_with("currency", "usd"), "data.currency"),
    (data_with("currency", "DEM"), "data.currency"),
    (data_with("currency", "XAU"), "data.currency"),
    (data_with("paid", 19.0), "data.paid"),
    (data_with("paid", "1900"), "data.paid"),
    (data_with("paid", True), "data.paid"),
    (data_with("paid", -1), "data.paid"),
    (data_with("paid", 10**12 + 1), "data.paid"),
    (data_with("paid", 10**4000), "data.paid"),
    (data_with("lines", []), "data.lines"),
    (data_with("lines", {}), "data.lines"),
    (data_with("lines.1", None), "data.lines[1]"),
    (data_with("lines.0.quantity", 1.5), "data.lines[0].quantity"),
    (data_with("lines.0.quantity", "1"), "data.lines[0].quantity"),
    (data_with("lines.0.quantity", -1), "data.lines[0].quantity"),
    (data_with("lines.0.quantity", 10**9 + 1), "data.lines[0].quantity"),
    (data_with("lines.0.sku", ""), "data.lines[0].sku"),
    (data_with("lines.0.brand", "b" * 129), "data.lines[0].brand"),
    (data_with("lines.1.paid_in_points", None), "data.lines[1].paid_in_points"),
    (data_with("channel", 3), "data.channel"),
    (data_with("payment_method", 3), "data.payment_method"),
    (data_with("payment_method", "p" * 129), "data.payment_method"),
]


@pytest.mark.parametrize(("data", "path"), FIELDS)
@pytest.mark.parametrize("mode", [binary, structured])
def test_a_wrong_field_is_named(mode: Any, data: dict[str, Any], path: str) -> None:
    refused = refusal(mode(data))
    assert (refused.defect, refused.path) == (Defect.INVALID_FIELD, path)
    assert (refused.event_id, refused.source) == ("e-1", "/shop")


@pytest.mark.parametrize(
    "text",
    [
        "2026-03-01T13:30:00",
        "2026-03-01 13:30:00Z",
        "2026-03-01",
        "2026-03-01T13:30Z",
        "2026-03-01T13:30:00.Z",
        "2026-03-01T24:00:00Z",
        "2026-03-01T13:30:60Z",
        "2026-03-01T13:30:00+24:00",
        "2026-02-29T00:00:00Z",
        "2026-13-01T00:00:00Z",
        "1999-12-31T23:59:59Z",
        "2101-01-01T00:00:00Z",
        "1772389800",
        "2026-03-01T13:30:00Z\n",
    ],
)
def test_an_instant_must_be_whole_and_exist(text: str) -> None:
    assert named(binary(data_with("occurred_at", text))) == (Defect.INVALID_FIELD, "data.occurred_at")


def test_amounts_of_a_line_must_add_up() -> None:
    refused = refusal(binary(data_with("lines.0.paid", 791)))
    assert (refused.defect, refused.path) == (Defect.LINES_DO_NOT_ADD_UP, "data.lines[0].paid")
    assert "is 790, but paid is 791" in refused.reason
    assert refused.count == 2, "the order's total is wrong, too"


@pytest.mark.parametrize("field", ["list_price", "discount", "tax", "paid_in_points"])
def test_every_amount_of_a_line_takes_part(field: str) -> None:
    wrong = data_with(f"lines.0.{field}", DATA["lines"][0][field] + 1)
    assert named(binary(wrong)) == (Defect.LINES_DO_NOT_ADD_UP, "data.lines[0].paid")


@pytest.mark.parametrize("path", ["paid", "shipping"])
def test_lines_and_shipping_must_be_what_was_paid(path: str) -> None:
    assert named(structured(data_with(path, DATA[path] + 1))) == (Defect.LINES_DO_NOT_ADD_UP, "data.paid")


def test_line_ids_must_be_unique() -> None:
    refused = refusal(binary(data_with("lines.1.line_id", "1")))
    assert (refused.defect, refused.path) == (Defect.DUPLICATE_LINE, "data.lines[1].line_id")
    assert "lines[0]" in refused.reason


def test_the_first_defect_is_told_and_all_are_counted() -> None:
    data = data_with("lines.1.tax", -1)
    data["lines"][1]["paid"] = "610"
    data["order_id"] = ""
    refused = refusal(binary(data))
    assert (refused.path, refused.count) == ("data.order_id", 3)


@pytest.mark.parametrize("headers", [[], binary()[1]])
@pytest.mark.parametrize("value", [None, b""])
def test_a_message_without_a_value_is_empty(value: bytes | None, headers: Any) -> None:
    assert named((value, headers)) == (Defect.EMPTY, "value")


def test_a_message_of_a_mebibyte_is_read_and_a_larger_one_refused() -> None:
    value, headers = binary()
    assert value is not None
    fits = value.ljust(fields.MAX_MESSAGE_BYTES)
    assert decode(fits, headers) == decode(value, headers)
    assert named((fits + b" ", headers)) == (Defect.TOO_LARGE, "value")


def test_an_order_has_500_lines_at_most() -> None:
    data = data_with("lines", [{**DATA["lines"][1], "line_id": str(number)} for number in range(500)])
    data["paid"] = 500 * 610 + 500
    assert len(decode(*binary(data)).fact.lines) == 500
    data["lines"].append({**DATA["lines"][1], "line_id": "500"})
    assert named(binary(data)) == (Defect.INVALID_FIELD, "data.lines")


@pytest.mark.parametrize(
    "value",
    [
        b"{",
        b"not json",
        b'{"order_id": "\xff"}',
        b'{"order_id": "a\0"}',
        b'{"a": 1} {"b": 2}',
        b"[" * 100_000,
        b'{"a":' * 300 + b"1" + b"}" * 300,
    ],
    ids=["cut off", "words", "no UTF-8", "raw NUL", "two values", "open arrays", "nested objects"],
)
def test_what_is_no_json_is_refused(value: bytes) -> None:
    assert named(binary(value)) == (Defect.NOT_JSON, "value")
    assert named((value, structured()[1])) == (Defect.NOT_JSON, "value")


@pytest.mark.parametrize("value", [b"[]", b"null", b"7", b'"order"', b"{}", json.dumps(DATA).encode()])
@pytest.mark.parametrize("headers", [[], structured()[1], [("other", b"header")]])
def test_what_is_no_cloudevent_is_refused(value: bytes, headers: Any) -> None:
    assert named((value, headers)) == (Defect.NOT_CLOUDEVENTS, "value")


def test_json_without_any_ce_header_is_no_cloudevent() -> None:
    message = (structured()[0], [("content-type", b"application/json")])
    assert named(message) == (Defect.NOT_CLOUDEVENTS, "headers")


@pytest.mark.parametrize("media_type", [b"application/cloudevents-batch+json", b"application/avro", b"", b"\xff"])
def test_another_content_type_is_refused(media_type: bytes) -> None:
    message = (structured()[0], [("content-type", media_type)])
    assert named(message) == (Defect.NOT_CLOUDEVENTS, "headers.content-type")


@pytest.mark.parametrize("value", [b"[]", b"null", b'"order"'])
def test_data_must_be_an_object(value: bytes) -> None:
    assert named(binary(value)) == (Defect.INVALID_FIELD, "data")
    assert named(structured(json.loads(value))) == (Defect.INVALID_FIELD, "data")


def test_an_event_without_data_is_refused() -> None:
    event = json.loads(structured()[0] or b"")
    del event["data"]
    assert named((json.dumps(event).encode(), [])) == (Defect.INVALID_FIELD, "data")


@pytest.mark.parametrize("attribute", ["specversion", "id", "source", "type"])
def test_a_header_that_binary_mode_needs_is_missed(attribute: str) -> None:
    value, headers = binary()
    message = (value, [header for header in headers if header[0] != f"ce_{attribute}"])
    assert named(message) == (Defect.MISSING_HEADER, f"headers.ce_{attribute}")


@pytest.mark.parametrize("attribute", ["id", "source"])
@pytest.mark.parametrize("text", ["", "x" * 256, "x\0"], ids=["empty", "too long", "NUL"])
def test_an_id_or_source_out_of_its_limits_is_refused(attribute: str, text: str) -> None:
    assert named(binary(DATA, **{attribute: text})) == (Defect.INVALID_HEADER, f"headers.ce_{attribute}")
    in_structured = Defect.NUL_CHARACTER if "\0" in text else Defect.INVALID_FIELD
    refused = refusal(structured(DATA, **{attribute: text}))
    assert (refused.defect, refused.path) == (in_structured, attribute)
    known = {"id": refused.event_id, "source": refused.source}
    assert known == {"id": "e-1", "source": "/shop"} | {attribute: None}


@pytest.mark.parametrize("attribute", ["id", "source"])
def test_an_id_or_source_may_have_255_characters(attribute: str) -> None:
    for message in (binary(DATA, **{attribute: "界" * 255}), structured(DATA, **{attribute: "界" * 255})):
        ref = decode(*message).ref
        assert (ref.event_id if attribute == "id" else ref.source) == "界" * 255


@pytest.mark.parametrize("text", [b"\xff", None], ids=["no UTF-8", "null"])
def test_a_header_that_is_no_text_is_refused(text: Any) -> None:
    value, headers = binary()
    message = (value, [(name, text if name == "ce_source" else raw) for name, raw in headers])
    assert named(message) == (Defect.INVALID_HEADER, "headers.ce_source")


@pytest.mark.parametrize("name", ["ce_id", "content-type"])
def test_a_header_that_is_there_twice_is_refused(name: str) -> None:
    value, headers = binary()
    assert named((value, [*headers, (name, b"again")])) == (Defect.INVALID_HEADER, f"headers.{name}")


@pytest.mark.parametrize("version", ["0.3", "1.1", "1"])
def test_another_version_of_cloudevents_is_refused(version: str) -> None:
    assert named(binary(DATA, specversion=version)) == (Defect.WRONG_SPECVERSION, "headers.ce_specversion")
    assert named(structured(DATA, specversion=version)) == (Defect.WRONG_SPECVERSION, "specversion")
    assert named(structured(DATA, specversion=1.0)) == (Defect.WRONG_SPECVERSION, "specversion")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "1772389805",
        "2026-03-01",
        "2026-03-01T18:30Z",
        "2026-03-01T18:30:05",
        "2026-03-01 18:30:05Z",
        "2026-03-01T18:30:05Z\n",
        " 2026-03-01T18:30:05Z",
        "2026-03-01T18:30:05,5Z",
        "2026-03-01T18:30:05.Z",
        "2026-03-01T18:30:05+0800",
        "2026-03-01T18:30:05+24:00",
        "20260301T183005Z",
        "2026-W09-7T18:30:05Z",
        "2026-13-01T18:30:05Z",
        "2026-02-29T18:30:05Z",
        "2100-02-29T18:30:05Z",
        "2026-04-31T18:30:05Z",
        "2026-03-01T24:00:00Z",
        "2026-03-01T18:60:05Z",
        "２０２６-03-01T18:30:05Z",
    ],
)
def test_a_time_that_is_no_instant_is_refused(text: str) -> None:
    """As CloudEvents 1.0 has it: `time` must be as RFC 3339 has it, where it is there."""
    for message, defect, path in (
        (binary(DATA, time=text), Defect.INVALID_HEADER, "headers.ce_time"),
        (structured(DATA, time=text), Defect.INVALID_FIELD, "time"),
    ):
        refused = refusal(message)
        assert (refused.defect, refused.path, refused.count) == (defect, path, 1)
        assert (refused.event_id, refused.source) == ("e-1", "/shop")


@pytest.mark.parametrize("time", [1_772_389_805, True, {}, ["2026-03-01T18:30:05Z"]])
def test_a_time_that_is_no_text_is_refused(time: object) -> None:
    assert named(structured(DATA, time=time)) == (Defect.INVALID_FIELD, "time")


def test_an_event_of_another_type_is_refused_whatever_its_data() -> None:
    for_data: dict[str, object] = {"order": 1}
    in_headers = refusal(binary(for_data, type="pointstream.order-paid.v2"))
    in_value = refusal(structured(for_data, type="pointstream.order-paid.v2"))
    assert (in_headers.defect, in_headers.path) == (Defect.UNKNOWN_TYPE, "headers.ce_type")
    assert (in_value.defect, in_value.path) == (Defect.UNKNOWN_TYPE, "type")
    for refused in (in_headers, in_value):
        assert (refused.event_id, refused.source, refused.count) == ("e-1", "/shop", 1)


@pytest.mark.parametrize("path", ["order_id", "channel", "lines.0.category"])
def test_a_nul_in_a_text_is_refused(path: str) -> None:
    for message in (binary(data_with(path, "a\0b")), structured(data_with(path, "a\0b"))):
        refused = refusal(message)
        assert refused.defect is Defect.NUL_CHARACTER
        assert refused.path == "data." + path.replace(".0.", "[0].")
        assert (refused.event_id, refused.source) == ("e-1", "/shop")


def test_a_refusal_repeats_no_text_of_the_event() -> None:
    """It is logged and shown to operators, and a text may be somebody's name."""
    secret = "Jane Doe" * 40
    for path in ("member_id", "channel", "occurred_at", "currency", "paid"):
        assert "Jane" not in str(refusal(structured(data_with(path, secret))))
