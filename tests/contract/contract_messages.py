"""Orders as Kafka messages, in both modes, for the tests of the contracts."""

import copy
import json
from typing import Any

from shared.contracts import order_paid
from shared.contracts.defect import Undecodable
from shared.contracts.headers import Headers

Message = tuple[bytes | None, Headers]

DATA: dict[str, Any] = {
    "order_id": "o-1",
    "member_id": "m-1",
    "currency": "USD",
    "paid": 1900,
    "lines": [
        {
            "line_id": "1",
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
        {"line_id": "2", "sku": "cup", "quantity": 1, "list_price": 610, "discount": 0, "tax": 0, "paid": 610},
    ],
    "shipping": 500,
    "channel": "web",
    "store": None,
    "occurred_at": "2026-03-01T13:30:00.25-05:00",
}

ATTRIBUTES = {"specversion": "1.0", "id": "e-1", "source": "/shop", "type": order_paid.TYPE}


def data_with(path: str, value: object) -> dict[str, Any]:
    """The order with one field set: `lines.1.paid`."""
    data = copy.deepcopy(DATA)
    node, last = _at(data, path)
    node[last] = value
    return data


def data_without(path: str) -> dict[str, Any]:
    """The order with one field left out."""
    data = copy.deepcopy(DATA)
    node, last = _at(data, path)
    del node[last]
    return data


def binary(data: object = DATA, /, **attributes: str) -> Message:
    """A message in binary mode; attributes replace the usual ones."""
    headers = [(f"ce_{name}", text.encode()) for name, text in {**ATTRIBUTES, **attributes}.items()]
    value = data if isinstance(data, bytes) else json.dumps(data).encode()
    return value, [*headers, ("content-type", b"application/json")]


def structured(data: object = DATA, /, **attributes: object) -> Message:
    """A message in structured mode."""
    event = {**ATTRIBUTES, **attributes, "data": data}
    return json.dumps(event).encode(), [("content-type", b"application/cloudevents+json")]


def refusal(message: Message) -> Undecodable:
    """What a message that must be refused is refused with."""
    try:
        decoded = order_paid.decode(*message)
    except Undecodable as refused:
        return refused
    raise AssertionError(f"was not refused, but read as {decoded}")


def _at(data: Any, path: str) -> tuple[Any, int | str]:
    *steps, last = (int(step) if step.isdigit() else step for step in path.split("."))
    for step in steps:
        data = data[step]
    return data, last
