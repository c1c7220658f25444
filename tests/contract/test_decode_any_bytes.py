"""Whatever comes in a message, decoding it ends in an order or in `Undecodable`: a worker is never stopped by one."""

import json
from typing import Any

from contract_messages import ATTRIBUTES, DATA, binary, structured
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.contracts.contract import Decoded
from shared.contracts.defect import Undecodable
from shared.contracts.headers import Headers
from shared.contracts.order_paid import decode

some_headers = st.lists(
    st.tuples(
        st.sampled_from(["content-type", "ce_id", "ce_source", "ce_type", "ce_specversion", "ce_data", "other"]),
        st.binary(max_size=20)
        | st.sampled_from([b"application/json", b"application/cloudevents+json", b"1.0", b"pointstream.order-paid.v1"]),
    ),
    max_size=6,
)
some_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=10,
)
paths = st.sampled_from([(field,) for field in DATA] + [("lines", 0, field) for field in DATA["lines"][0]])


def outcome(value: bytes | None, headers: Headers) -> Decoded | Undecodable:
    try:
        return decode(value, headers)
    except Undecodable as refused:
        return refused


def check(value: bytes | None, headers: Headers) -> Decoded | None:
    """The order in a message, decoded twice alike, or None if it is refused with what a database can keep."""
    decoded = outcome(value, headers)
    if isinstance(decoded, Decoded):
        assert outcome(value, headers) == decoded
        return decoded
    texts = (decoded.path, decoded.reason, decoded.event_id or "", decoded.source or "")
    assert not any("\0" in text for text in texts)
    assert all(text.encode() for text in texts if text), "no half of a character"
    assert decoded.reason.endswith(".")
    assert decoded.count >= 1
    assert len(decoded.path) <= 200
    return None


@settings(max_examples=150, deadline=None)
@given(value=st.none() | st.binary(max_size=200), headers=some_headers)
def test_any_bytes(value: bytes | None, headers: Headers) -> None:
    check(value, headers)


@settings(max_examples=150, deadline=None)
@given(value=some_json, path=paths)
def test_any_json_in_any_field(value: Any, path: tuple[str | int, ...]) -> None:
    data: Any = json.loads(json.dumps(DATA))
    node = data
    for step in path[:-1]:
        node = node[step]
    node[path[-1]] = value
    in_binary, in_structured = check(*binary(data)), check(*structured(data))
    assert in_binary == in_structured


@settings(max_examples=150, deadline=None)
@given(value=some_json, attribute=st.sampled_from([*ATTRIBUTES, "data", "time", "data_base64"]))
def test_any_json_in_any_attribute(value: Any, attribute: str) -> None:
    event: Any = {**ATTRIBUTES, "data": DATA, attribute: value}
    check(json.dumps(event).encode(), [])


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_any_damage_to_a_good_message(data: st.DataObject) -> None:
    value, headers = data.draw(st.sampled_from([binary(), structured()]))
    assert value is not None
    start = data.draw(st.integers(0, len(value)))
    end = data.draw(st.integers(start, min(start + 8, len(value))))
    check(value[:start] + data.draw(st.binary(max_size=8)) + value[end:], headers)


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_any_header_of_a_good_message_replaced_doubled_or_left_out(data: st.DataObject) -> None:
    value, headers = data.draw(st.sampled_from([binary(), structured()]))
    changed: list[tuple[str, bytes | None]] = []
    for name, text in headers:
        kind = data.draw(st.sampled_from(["kept", "left out", "twice", "replaced", "null", "renamed"]))
        if kind != "left out":
            changed.append((data.draw(st.text(max_size=8)) if kind == "renamed" else name, text))
        if kind == "twice":
            changed.append((name, data.draw(st.binary(max_size=8))))
        if kind in {"replaced", "null"}:
            changed[-1] = (name, None if kind == "null" else data.draw(st.binary(max_size=300)))
    check(value, changed)


@settings(max_examples=400, deadline=None)
@given(data=st.data())
def test_any_member_of_any_object_removed_renamed_doubled_or_moved(data: st.DataObject) -> None:
    """Mutations that keep most of an event as it should be, so that what is checked last is reached."""
    event: Any = {**ATTRIBUTES, "data": json.loads(json.dumps(DATA))}
    for _ in range(data.draw(st.integers(1, 3))):
        objects = [event, event.get("data"), *_lines_of(event)]
        node = data.draw(st.sampled_from([each for each in objects if isinstance(each, dict) and each]))
        key = data.draw(st.sampled_from(sorted(node)))
        kind = data.draw(st.sampled_from(["remove", "rename", "number", "replace", "wrap"]))
        old = node.pop(key)
        if kind == "rename":
            node[data.draw(st.text(max_size=8))] = old
        elif kind == "number":
            node[key] = data.draw(st.sampled_from([0, -1, 1, 10**12, 2**63, -(2**63), 2**64, 10**400, 0.1, -0.0]))
        elif kind == "replace":
            node[key] = data.draw(some_json)
        elif kind == "wrap":
            node[key] = [old, old]
    text = json.dumps(event, ensure_ascii=data.draw(st.booleans()))
    if data.draw(st.booleans()):
        text = text.replace('"paid":', '"tax":', data.draw(st.integers(0, 2)))
    check(text.encode(errors="surrogatepass"), [])
    if "data" in event:
        check(*binary(event["data"]))


def _lines_of(event: Any) -> list[Any]:
    data = event.get("data")
    lines = data.get("lines") if isinstance(data, dict) else None
    return lines if isinstance(lines, list) else []
