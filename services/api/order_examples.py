"""What the OpenAPI document says of the answers about orders. Nothing in an example is null (see examples)."""

from typing import Any

from services.api.examples import Responses, away, fault, invalid, ok, problem
from services.api.order_models import OrderPoints, Preview
from services.api.problems import ProblemType
from shared.contracts.examples import ORDER_PAID

PREVIEW_ORDER: dict[str, Any] = ORDER_PAID["payload"]
"""The contract's own example."""

_POINTS_PATH = "/v1/orders/A-7731/points"
_PREVIEW_PATH = "/v1/preview/order"

_LINES = [
    {
        "line_id": "1",
        "category": "GROCERY",
        "brand": "Private",
        "sku": "oats-500",
        "quantity": 2,
        "paid": 5990,
        "base": 5990,
        "points": {"base": 59, "house-brand": 29},
    }
]

_RULES = [
    {
        "rule": "base",
        "wallet": "points",
        "points": 70,
        "own": 59,
        "multipliers": [{"multiplier": "tier", "points": 11}],
        "trimmed": 0,
    },
    {"rule": "house-brand", "wallet": "points", "points": 29, "own": 29, "multipliers": [], "trimmed": 0},
]

_SILENT = {
    "silent_rules": [
        {
            "rule": "big-basket",
            "wallet": "points",
            "reason": "below_threshold",
            "says": "The goods that count come to 59.90 USD; it takes 200.00 USD.",
        }
    ],
    "silent_multipliers": [
        {
            "multiplier": "birthday",
            "reason": "not_birthday",
            "says": "The order was not paid on the member's birthday, or the shop had not told of one.",
        }
    ],
}

_PENDING_LOT = {
    "lot": 3,
    "wallet": "points",
    "state": "pending",
    "issued": 29,
    "left": 15,
    "in_balance": 0,
    "pending_until": "2026-06-10T04:00:00Z",
    "waits_for": "delivered",
    "expires_at": "2026-09-11T04:00:00Z",
    "expired": 0,
    "taken_back": 14,
    "repaid_debt": 0,
    "taken_otherwise": 0,
}

_REFUND = {
    "refund_id": "R-1",
    "event": {"source": "urn:shop:returns", "id": "refund-1"},
    "outcome": "posted",
    "says": "Points moved.",
    "reason": "return",
    "occurred_at": "2026-05-28T10:00:00Z",
    "arrived_at": "2026-05-28T10:00:01Z",
    "full": False,
    "lines": [{"line_id": "1", "quantity": 1, "amount": 0}],
    "amount": 0,
    "shipping": 0,
    "asked": {"house-brand": 14},
    "took": [{"rule": "house-brand", "wallet": "points", "points": 14, "from": "pending", "lot": 3}],
}

_POINTS = {
    "member_id": "M-1001",
    "order_id": "A-7731",
    "accepted": True,
    "paid_at": "2026-05-26T15:02:11Z",
    "currency": "USD",
    "paid": 5990,
    "program_version": 1,
    "as_of": "2026-06-01T09:30:00Z",
    "lines": _LINES,
    "trimmed": {},
    "rules": _RULES,
    **_SILENT,
    "lots": [_PENDING_LOT],
    "refunds": [_REFUND],
    "taken_when_paid": [],
}

_PREVIEW = {
    "member_id": "M-1001",
    "order_id": "A-7731",
    "as_of": "2026-05-26T15:02:11Z",
    "outcome": "posted",
    "says": "Points moved.",
    "program_version": 1,
    "lines": _LINES,
    "trimmed": {},
    "rules": _RULES,
    **_SILENT,
    "lots": [{**_PENDING_LOT, "left": 29, "taken_back": 0}],
    "taken_when_paid": [],
    "wallets": {
        "points": {
            "available": 129,
            "pending": 29,
            "debt": 0,
            "lifetime_issued": 158,
            "expired": 0,
            "clawed_back": 0,
            "adjusted": 0,
            "penalty": 0,
            "written_off": 0,
            "cash_offset": 0,
        }
    },
}

POINTS_RESPONSES: Responses = {
    200: ok(OrderPoints, _POINTS),
    404: problem(
        _POINTS_PATH,
        (
            ProblemType.ORDER_NOT_FOUND,
            "No order 'A-7731' of member 'M-1001' was accepted, and no refund of it is known.",
            {},
        ),
    ),
    422: invalid(_POINTS_PATH, "query.member_id", "Field required"),
    500: fault(_POINTS_PATH),
    503: away(_POINTS_PATH),
}

PREVIEW_RESPONSES: Responses = {
    200: ok(Preview, _PREVIEW),
    422: invalid(_PREVIEW_PATH, "body.lines[0].paid", "Input should be greater than or equal to 0."),
    500: fault(_PREVIEW_PATH),
    503: away(_PREVIEW_PATH),
}
