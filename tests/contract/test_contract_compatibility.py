"""A contract that others rely on is never broken, and the check for it sees each kind of break."""

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
from compatibility import Schema, inbound_breaks, outbound_breaks

from shared.contracts.schemas import DIRECTORY, schema_of


def released(contract: str) -> Schema:
    schema: Schema = json.loads((DIRECTORY / "released" / f"{contract}.schema.json").read_text(encoding="utf-8"))
    return schema


def test_whoever_sends_orders_by_the_released_contract_is_still_understood() -> None:
    assert inbound_breaks(released("order-paid.v1"), schema_of("order-paid.v1")) == []


def test_whoever_reads_points_by_the_released_contract_still_understands() -> None:
    assert outbound_breaks(released("points-changed.v1"), schema_of("points-changed.v1")) == []


OLD: Schema = {
    "$defs": {
        "Line": {
            "type": "object",
            "properties": {
                "sku": {"type": "string", "minLength": 1, "maxLength": 10, "pattern": "^[a-z]+$"},
                "kind": {"$ref": "#/$defs/Kind"},
            },
            "required": ["sku"],
        },
        "Kind": {"type": "string", "enum": ["goods", "fee"]},
    },
    "type": "object",
    "properties": {
        "amount": {"type": "integer", "minimum": 0, "maximum": 100},
        "note": {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None},
        "lines": {"type": "array", "items": {"$ref": "#/$defs/Line"}, "minItems": 1, "maxItems": 5},
        "sums": {"type": "object", "additionalProperties": {"type": "integer"}, "propertyNames": {"maxLength": 5}},
    },
    "required": ["amount", "lines"],
}

Change = Callable[[Any], object]


def changed(change: Change) -> Schema:
    schema = copy.deepcopy(OLD)
    change(schema)
    return schema


def properties(schema: Any) -> Any:
    return schema["properties"]


def line(schema: Any) -> Any:
    return schema["$defs"]["Line"]


FIELD_GONE: list[tuple[Change, str]] = [
    (lambda s: properties(s).pop("note"), "note: field removed"),
    (lambda s: line(s)["properties"].pop("kind"), "lines.[].kind: field removed"),
]
NARROWED: list[tuple[Change, str]] = [
    (lambda s: s["required"].append("note"), ": note required in one only"),
    (lambda s: line(s)["required"].append("kind"), "lines.[]: kind required in one only"),
    (lambda s: properties(s)["note"].update(anyOf=[{"type": "string"}]), "note: type null in one only"),
    (lambda s: s["$defs"]["Kind"]["enum"].remove("fee"), "lines.[].kind: value fee in one only"),
    (lambda s: properties(s)["amount"].update(enum=[1, 2]), "amount: values listed in one only"),
    (lambda s: properties(s)["amount"].update(minimum=1), "amount: minimum differs"),
    (lambda s: properties(s)["amount"].update(maximum=99), "amount: maximum differs"),
    (lambda s: properties(s)["note"].update(maxLength=9), "note: maxLength differs"),
    (lambda s: properties(s)["lines"].update(minItems=2), "lines: minItems differs"),
    (lambda s: properties(s)["lines"].update(maxItems=4), "lines: maxItems differs"),
    (lambda s: properties(s)["note"].update(pattern="^a"), "note: pattern differs"),
    (lambda s: properties(s)["note"].update(format="date"), "note: format differs"),
    (lambda s: properties(s)["sums"]["propertyNames"].update(maxLength=4), "sums.{key}: maxLength differs"),
    (lambda s: properties(s)["sums"]["additionalProperties"].update(minimum=0), "sums.{}: minimum differs"),
    (lambda s: s.update(additionalProperties=False), ": additional fields refused in one only"),
]
WIDENED: list[tuple[Change, str]] = [
    (lambda s: s["required"].remove("amount"), ": amount required in one only"),
    (lambda s: line(s)["required"].remove("sku"), "lines.[]: sku required in one only"),
    (lambda s: properties(s)["amount"].update(type=["integer", "null"]), "amount: type null in one only"),
    (lambda s: properties(s)["amount"].update(type="number"), "amount: type number in one only"),
    (lambda s: s["$defs"]["Kind"]["enum"].append("gift"), "lines.[].kind: value gift in one only"),
    (lambda s: s["$defs"]["Kind"].pop("enum"), "lines.[].kind: values listed in one only"),
    (lambda s: properties(s)["amount"].update(minimum=-1), "amount: minimum differs"),
    (lambda s: properties(s)["amount"].pop("maximum"), "amount: maximum differs"),
    (lambda s: properties(s)["lines"].update(minItems=0), "lines: minItems differs"),
    (lambda s: line(s)["properties"]["sku"].pop("pattern"), "lines.[].sku: pattern differs"),
    (lambda s: properties(s)["sums"].pop("propertyNames"), "sums.{key}: limited in one only"),
]


def field_added(schema: Any) -> None:
    properties(schema)["colour"] = {"type": "string"}


@pytest.mark.parametrize(("change", "what"), [*FIELD_GONE, *NARROWED])
def test_inbound_nothing_may_be_taken_away(change: Change, what: str) -> None:
    assert inbound_breaks(OLD, changed(change)) == [what]


@pytest.mark.parametrize(("change", "what"), [*FIELD_GONE, *WIDENED])
def test_outbound_nothing_may_come_unexpected(change: Change, what: str) -> None:
    assert outbound_breaks(OLD, changed(change)) == [what]


def test_another_pattern_is_a_break_since_nobody_can_compare_them() -> None:
    schema = changed(lambda s: line(s)["properties"]["sku"].update(pattern="^[a-y]+$"))
    assert inbound_breaks(OLD, schema) == outbound_breaks(OLD, schema) == ["lines.[].sku: pattern differs"]


def test_a_type_may_not_change() -> None:
    schema = changed(lambda s: properties(s)["amount"].update(type="string"))
    assert "amount: type integer in one only" in inbound_breaks(OLD, schema)
    assert "amount: type string in one only" in outbound_breaks(OLD, schema)


def test_inbound_a_default_may_not_change() -> None:
    assert inbound_breaks(OLD, changed(lambda s: properties(s)["note"].update(default=""))) == ["note: default differs"]


@pytest.mark.parametrize("change", [field_added, *(change for change, _ in WIDENED)])
def test_inbound_more_may_be_accepted(change: Change) -> None:
    assert inbound_breaks(OLD, changed(change)) == []


@pytest.mark.parametrize("change", [field_added, *(change for change, _ in NARROWED)])
def test_outbound_less_may_be_sent(change: Change) -> None:
    assert outbound_breaks(OLD, changed(change)) == []


def test_a_contract_is_compatible_with_itself() -> None:
    assert inbound_breaks(OLD, OLD) == outbound_breaks(OLD, OLD) == []
