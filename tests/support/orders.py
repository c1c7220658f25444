"""Paid orders for tests: as domain events for the ledger, and as messages for Kafka."""

from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any

import orjson

from shared.contracts.order_paid import TYPE
from shared.domain.ids import EventId, EventSource, LineId, MemberId, OrderId
from shared.domain.model import EventRef, Order, OrderLine, OrderPaid
from shared.domain.time import Instant, instant_of, rfc3339
from shared.ledger.batch import Consumed, Message

SOURCE = "/shop"
NOON = instant_of(datetime(2026, 3, 10, 12, tzinfo=UTC))
"""An instant at which the grocer's program is in force."""


def data_of(
    order_id: str, member_id: str = "alice", cents: Sequence[int] = (1000,), at: Instant = NOON, brand: str = "National"
) -> dict[str, Any]:
    """The data of an order-paid event with a line for each amount."""
    lines = [
        {
            "line_id": str(number),
            "sku": f"sku-{number}",
            "category": "GROCERY",
            "brand": brand,
            "quantity": 1,
            "list_price": paid,
            "discount": 0,
            "tax": 0,
            "paid": paid,
        }
        for number, paid in enumerate(cents, 1)
    ]
    return {
        "order_id": order_id,
        "member_id": member_id,
        "currency": "USD",
        "paid": sum(cents),
        "lines": lines,
        "occurred_at": rfc3339(at),
    }


def event_of(data: dict[str, Any], event_id: str | None = None, source: str = SOURCE) -> dict[str, Any]:
    """A whole event in structured mode."""
    return {
        "specversion": "1.0",
        "id": event_id or data["order_id"],
        "source": source,
        "type": TYPE,
        "data": data,
    }


def consumed(
    order_id: str,
    member_id: str = "alice",
    cents: Sequence[int] = (1000,),
    at: Instant = NOON,
    event_id: str | None = None,
    offset: int = 0,
    brand: str = "National",
) -> Consumed:
    """An order as a worker brings it to the ledger; it arrives when it was paid."""
    lines = tuple(
        OrderLine(LineId(str(number)), f"sku-{number}", "GROCERY", brand, 1, paid, 0, 0, paid, 0)
        for number, paid in enumerate(cents, 1)
    )
    order = Order(OrderId(order_id), MemberId(member_id), "USD", 2, sum(cents), 0, None, None, at, lines)
    value = orjson.dumps(data_of(order_id, member_id, cents, at, brand))
    return Consumed(
        OrderPaid(EventRef(EventSource(SOURCE), EventId(event_id or order_id), TYPE), at, order),
        blake2b(value, digest_size=16).digest(),
        Message("orders", 0, offset, at, member_id.encode(), value, ()),
    )
