"""Paid orders and refunds for tests: as domain events for the ledger, and as messages for Kafka."""

from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any, cast

import orjson
from aiokafka import ConsumerRecord

from shared.contracts import refund
from shared.contracts.headers import Headers
from shared.contracts.order_paid import TYPE
from shared.domain.facts import Event, EventRef, Order, OrderLine, Refund, RefundReason
from shared.domain.ids import EventId, EventSource, MemberId, OrderId, RefundId
from shared.domain.model import RatedOrder
from shared.domain.time import Instant, instant_of, rfc3339, unix_ms
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


def refund_event_of(data: dict[str, Any], event_id: str, source: str = SOURCE) -> dict[str, Any]:
    """A refund's whole event in structured mode."""
    return event_of(data, event_id, source) | {"type": refund.TYPE}


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
    data = data_of(order_id, member_id, cents, at, brand)
    lines = [cast("OrderLine", line | {"paid_in_points": 0}) for line in data["lines"]]
    order = Order(OrderId(order_id), MemberId(member_id), "USD", 2, sum(cents), 0, None, None, at, lines)
    value = orjson.dumps(data)
    return Consumed(
        Event(EventRef(EventSource(SOURCE), EventId(event_id or order_id), TYPE), at, order),
        blake2b(value, digest_size=16).digest(),
        message_of(value, offset, at, member_id.encode()),
    )


def refund_consumed(order_id: str, member_id: str = "alice", at: Instant = NOON) -> Consumed:
    """All of an order is given back, as a worker brings it to the ledger."""
    refund_id = RefundId(f"all-of-{order_id}")
    fact = Refund(refund_id, OrderId(order_id), MemberId(member_id), "USD", RefundReason.RETURN, True, (), 0, 0, at)
    value = refund_id.encode()
    return Consumed(
        Event(EventRef(EventSource(SOURCE), EventId(refund_id), refund.TYPE), at, fact),
        blake2b(value, digest_size=16).digest(),
        message_of(value, 0, at, member_id.encode()),
    )


def message_of(
    value: bytes, offset: int, at: Instant = NOON, key: bytes | None = None, headers: Headers = (), partition: int = 0
) -> Message:
    """A record of the topic `orders`, as the consumer gives it."""
    record = ConsumerRecord(
        "orders", partition, offset, unix_ms(at), 1, key, value, None, 0, len(value), tuple(headers)
    )
    return cast("Message", record)


def points_by_line(rated: RatedOrder) -> dict[str, dict[str, int]]:
    """The points of each line by rule, without zeros."""
    return {
        line_id: {str(rule_id): shares[index] for rule_id, shares in rated.points.items() if shares[index]}
        for index, line_id in enumerate(rated.line_ids)
    }
