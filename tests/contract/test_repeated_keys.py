"""An object that has a key twice is refused, however it is written; one that has not is read."""

import json
from typing import Any

import pytest
from contract_messages import ATTRIBUTES, DATA, Message, binary, refusal, structured
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.contracts.defect import Defect, Undecodable
from shared.contracts.headers import Headers
from shared.contracts.order_paid import decode

COMPACT, SPACED, INDENTED = {"separators": (",", ":")}, {}, {"indent": 2}
WRITTEN: list[dict[str, Any]] = [COMPACT, SPACED, INDENTED, {"separators": (" ,\n", "\t : ")}]


def repeat(text: str, key: str, with_value: str) -> str:
    """Put a key in front of where it is already."""
    place = text.index(f'"{key}"')
    return f'{text[:place]}"{key}":{with_value},{text[place:]}'


def in_mode(mode: str, text: str) -> Message:
    return (text.encode(), binary()[1]) if mode == "binary" else (text.encode(), structured()[1])


def written(mode: str, how: dict[str, Any], data: dict[str, Any] = DATA) -> str:
    return json.dumps(data if mode == "binary" else {**ATTRIBUTES, "data": data}, **how)


@pytest.mark.parametrize("how", WRITTEN)
@pytest.mark.parametrize("mode", ["binary", "structured"])
@pytest.mark.parametrize(
    ("key", "path"),
    [
        ("order_id", "data.order_id"),
        ("paid", "data.paid"),
        ("store", "data.store"),
        ("payment_method", "data.payment_method"),
        ("line_id", "data.lines[0].line_id"),
        ("paid_in_points", "data.lines[0].paid_in_points"),
    ],
)
def test_a_key_that_is_there_twice_is_named(how: dict[str, Any], mode: str, key: str, path: str) -> None:
    data = {**DATA, "payment_method": "card"}
    for with_value in ("1", '"m-1"', "null"):
        refused = refusal(in_mode(mode, repeat(written(mode, how, data), key, with_value)))
        assert (refused.defect, refused.path) == (Defect.REPEATED_KEY, path)
        assert (refused.event_id, refused.source) == ("e-1", "/shop")


@pytest.mark.parametrize("key", ["id", "source", "data", "specversion"])
def test_an_attribute_that_is_there_twice_is_named(key: str) -> None:
    assert refusal(in_mode("structured", repeat(written("structured", COMPACT), key, '"x"'))).path == key


@pytest.mark.parametrize("mode", ["binary", "structured"])
def test_one_that_takes_the_place_of_a_field_that_was_left_out_is_seen(mode: str) -> None:
    """Neither the length nor the number of keys gives it away."""
    data = {name: value for name, value in DATA.items() if name != "channel"}
    for with_value in ('"web"', '"webs"', "1", "null"):
        text = repeat(written(mode, COMPACT, data), "order_id", with_value)
        assert refusal(in_mode(mode, text)).defect is Defect.REPEATED_KEY


@pytest.mark.parametrize("mode", ["binary", "structured"])
@pytest.mark.parametrize("twice", [("null", "null"), ("null", '"card"'), ('"card"', "null"), ('"card"', '"card"')])
def test_a_way_of_payment_that_is_there_twice_is_seen_also_where_it_is_null(mode: str, twice: tuple[str, str]) -> None:
    """Null is taken out of what was read before its keys are counted."""
    for how in WRITTEN:
        first, second = twice
        text = written(mode, how, {**DATA, "payment_method": json.loads(second)})
        assert refusal(in_mode(mode, repeat(text, "payment_method", first))).path == "data.payment_method"


def test_an_escape_hides_nothing() -> None:
    text = written("binary", COMPACT).replace('"order_id"', '"order\\u005fid":"o-0","order_id"')
    assert refusal(in_mode("binary", text)).path == "data.order_id"
    # One colon less than the text has, one key more than it needs: without store, which is there as its default.
    data = {name: value for name, value in DATA.items() if name != "store"}
    text = (
        written("binary", SPACED, data)
        .replace('"web"', '"a\\u003ab"')
        .replace('"paid": 1900', '"paid": 1, "paid": 1900')
    )
    assert refusal(in_mode("binary", text)).path == "data.paid"


def test_an_unknown_object_counts_too() -> None:
    text = written("binary", COMPACT, {**DATA, "more": [{"a": 1, "b": 1}]}).replace('"b":1', '"a":2')
    assert refusal(in_mode("binary", text)).path == "data.more[0].a"


@pytest.mark.parametrize("how", WRITTEN)
@pytest.mark.parametrize("mode", ["binary", "structured"])
@pytest.mark.parametrize(
    "more",
    [
        {},
        {"channel": None},
        {"channel": "a:b"},
        {"channel": '":'},
        {"unknown": {"a": {"a": 10**4000}, "b": [1.5e300, True, None]}},
        {"channel": "\\u003a:"},
        {"shipping": 500, "store": "饮料"},
        {"payment_method": "card"},
        {"payment_method": None},
    ],
)
def test_what_has_each_key_once_is_read(how: dict[str, Any], mode: str, more: dict[str, Any]) -> None:
    texts = [written(mode, {**how, "ensure_ascii": ascii_only}, {**DATA, **more}) for ascii_only in (True, False)]
    for text in texts:
        assert decode(*in_mode(mode, text)).fact.order_id == "o-1"


# Without a brace: the members are put in behind one, which must be an object's.
json_text = st.text(st.characters(codec="utf-8", exclude_characters="\0{"), max_size=6)


def parsed_twice(text: str) -> bool:
    """Whether some object of a text has a key twice, by the standard library's parser."""
    repeated = False

    def look(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal repeated
        repeated = repeated or len(dict(pairs)) < len(pairs)
        return dict(pairs)

    json.loads(text, object_pairs_hook=look)
    return repeated


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_any_member_that_is_put_in_is_seen_when_its_key_is_there_already(data: st.DataObject) -> None:
    """Fields that may be left out are, at random; members are put in, anywhere, in any way of writing."""
    order: dict[str, Any] = json.loads(json.dumps(DATA))
    order["payment_method"] = "card"
    for where in (order, *order["lines"]):
        for optional in ("store", "category", "brand", "payment_method"):
            if optional in where and data.draw(st.booleans()):
                where[optional] = data.draw(st.none() | json_text)
                if data.draw(st.booleans()):
                    del where[optional]
    how = data.draw(st.sampled_from(WRITTEN))
    mode = data.draw(st.sampled_from(["binary", "structured"]))
    text = written(mode, {**how, "ensure_ascii": data.draw(st.booleans())}, order)
    brace = data.draw(st.sampled_from([place for place, character in enumerate(text) if character == "{"]))
    known = ["store", "payment_method", "category", "sku", "paid", "order_id", "id", "colour"]
    key = data.draw(st.sampled_from(known) | json_text)
    member = f"{json.dumps(key)}:{json.dumps(data.draw(st.none() | json_text | st.integers(0, 99)))},"
    if data.draw(st.booleans()):
        text = text[: brace + 1] + member + text[brace + 1 :]
    headers: Headers = in_mode(mode, text)[1]
    try:
        decode(text.encode(), headers)
        refused = None
    except Undecodable as error:
        refused = error.defect
    if parsed_twice(text):
        assert refused is not None
    else:
        assert refused is not Defect.REPEATED_KEY


@pytest.mark.parametrize("mode", ["binary", "structured"])
def test_a_lone_surrogate_is_named(mode: str) -> None:
    text = written(mode, COMPACT).replace('"Leaf"', '"\\ud800"')
    refused = refusal(in_mode(mode, text))
    assert (refused.defect, refused.path) == (Defect.LONE_SURROGATE, "data.lines[0].brand")
    assert decode(*in_mode(mode, text.replace("\\ud800", "\\ud83d\\ude00"))).fact.lines[0]["brand"] == "😀"
