"""Whatever comes in a message, decoding it ends in an order or in `Undecodable`: a worker is never stopped by one."""

import json
from typing import Any

from contract_messages import ATTRIBUTES, DATA, binary, structured
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.contracts.cloudevents import Headers
from shared.contracts.defect import Undecodable
from shared.contracts.order_paid import DecodedOrder, decode

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


def outcome(value: bytes | None, headers: Headers) -> DecodedOrder | Undecodable:
    try:
        return decode(value, headers)
    except Undecodable as refused:
        return refused


def check(value: bytes | None, headers: Headers) -> DecodedOrder | None:
    """The order in a message, decoded twice alike, or None if it is refused with what a database can keep."""
    decoded = outcome(value, headers)
    if isinstance(decoded, DecodedOrder):
        assert outcome(value, headers) == decoded
        return decoded
    texts = (decoded.path, decoded.reason, decoded.event_id or "", decoded.source or "")
    assert not any("\0" in text for text in texts)
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
