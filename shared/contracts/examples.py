"""One example of each message, in binary mode. They stand in the AsyncAPI document, and the tests hold them to the
schemas."""

from typing import Any, Final

from shared.contracts import behaviour, check_in, member, order_paid, points_changed, refund

ORDER_PAID: Final[dict[str, Any]] = {
    "headers": {
        "ce_specversion": "1.0",
        "ce_id": "4f1c6a52-order-paid",
        "ce_source": "/shop/online",
        "ce_type": order_paid.TYPE,
        "ce_time": "2026-03-01T18:30:05Z",
        "ce_partitionkey": "m-1042",
        "content-type": "application/json",
    },
    "payload": {
        "order_id": "o-77120",
        "member_id": "m-1042",
        "currency": "USD",
        "paid": 2744,
        "lines": [
            {
                "line_id": "1",
                "sku": "coffee-beans-1kg",
                "category": "coffee",
                "brand": "Roastery",
                "quantity": 1,
                "list_price": 1999,
                "discount": 200,
                "tax": 144,
                "paid": 1443,
                "paid_in_points": 500,
            },
            {
                "line_id": "2",
                "sku": "mug-blue",
                "quantity": 2,
                "list_price": 760,
                "discount": 0,
                "tax": 46,
                "paid": 806,
            },
        ],
        "shipping": 495,
        "channel": "web",
        "payment_method": "card",
        "occurred_at": "2026-03-01T13:30:00-05:00",
    },
}

REFUND: Final[dict[str, Any]] = {
    "headers": {
        "ce_specversion": "1.0",
        "ce_id": "b07c9d11-refund",
        "ce_source": "/shop/online",
        "ce_type": refund.TYPE,
        "ce_time": "2026-03-09T09:12:40Z",
        "ce_partitionkey": "m-1042",
        "content-type": "application/json",
    },
    "payload": {
        "refund_id": "r-5113",
        "order_id": "o-77120",
        "member_id": "m-1042",
        "currency": "USD",
        "reason": "return",
        "lines": [{"line_id": "2", "quantity": 1}],
        "occurred_at": "2026-03-09T04:12:31-05:00",
    },
}

CHECK_IN: Final[dict[str, Any]] = {
    "headers": {
        "ce_specversion": "1.0",
        "ce_id": "77e1-check-in",
        "ce_source": "/shop/online",
        "ce_type": check_in.TYPE,
        "ce_time": "2026-03-09T09:12:40Z",
        "ce_partitionkey": "m-1042",
        "content-type": "application/json",
    },
    "payload": {"member_id": "m-1042", "streak": "daily", "occurred_at": "2026-03-09T04:12:31-05:00"},
}

BEHAVIOUR: Final[dict[str, Any]] = {
    "headers": {
        "ce_specversion": "1.0",
        "ce_id": "a90c-review",
        "ce_source": "/shop/online",
        "ce_type": behaviour.TYPE,
        "ce_time": "2026-03-09T09:12:40Z",
        "ce_partitionkey": "m-1042",
        "content-type": "application/json",
    },
    "payload": {
        "member_id": "m-1042",
        "behaviour": "review",
        "order_id": "o-77120",
        "occurred_at": "2026-03-09T04:12:31-05:00",
    },
}

MEMBER: Final[dict[str, Any]] = {
    "headers": {
        "ce_specversion": "1.0",
        "ce_id": "m-1042-3",
        "ce_source": "/shop/online",
        "ce_type": member.TYPE,
        "ce_time": "2026-03-09T09:12:40Z",
        "ce_partitionkey": "m-1042",
        "content-type": "application/json",
    },
    "payload": {
        "member_id": "m-1042",
        "version": 3,
        "joined": "2024-11-02",
        "birthday": "08-31",
        "country": "US",
        "tags": ["student"],
        "occurred_at": "2026-03-09T04:12:31-05:00",
    },
}

POINTS_CHANGED: Final[dict[str, Any]] = {
    "headers": {
        "ce_specversion": "1.0",
        "ce_id": points_changed.event_id_of(17, 260),
        "ce_source": points_changed.source_of("pointstream"),
        "ce_type": points_changed.TYPE,
        "ce_time": "2026-03-01T18:30:06.218400Z",
        "ce_subject": "m-1042",
        "ce_partitionkey": "m-1042",
        "content-type": "application/json",
    },
    "payload": {
        "member_id": "m-1042",
        "shard": 17,
        "pos": 260,
        "version": 9,
        "kind": "accrual",
        "event": {"source": "/shop/online", "id": "4f1c6a52-order-paid", "type": order_paid.TYPE},
        "order_id": "o-77120",
        "program_version": 1,
        "occurred_at": "2026-03-01T18:30:00.000000Z",
        "effective_at": "2026-03-01T18:30:05.911000Z",
        "recorded_at": "2026-03-01T18:30:06.218400Z",
        "movements": [
            {
                "wallet": "points",
                "from": "issued",
                "to": "available",
                "amount": 20,
                "rule": "base",
                "lot_id": 4,
                "order_id": "o-77120",
            }
        ],
        "balances": {"points": {"issued": -140, "available": 110, "expired": 30}},
    },
}
