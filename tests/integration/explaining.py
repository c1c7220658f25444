"""A program with something of everything, and refunds of some of an order, for the tests of explanations."""

from typing import Any

import orjson

from shared.contracts import refund
from shared.domain.facts import Adjustment, Event
from shared.domain.ids import AdjustmentId, EventSource, MemberId, Wallet
from shared.domain.time import Instant, rfc3339
from shared.ledger.adjustments import adjustment_of, event_of
from shared.ledger.batch import Consumed
from tests.support.orders import message_of, refund_event_of

PROGRAM = """
program: explained
version: 1
effective_from: "2026-01-01T00:00:00Z"
zone: America/New_York
currency: USD
refunds: {wait: 10d}
wallets:
  points: {spendable: true, expiry: {months: 3}}
  growth: {spendable: false, expiry: never}
rules:
  - {id: base, wallet: points, rate: 1, at_most: 100}
  - {id: house-brand, wallet: points, rate: 1/2, match: {brands: [Private]}, pending: {days: 14}}
  - {id: big-basket, wallet: points, threshold: {from: 200, points: 50}}
  - {id: app, wallet: points, per_item: 5, match: {channels: [app]}}
  - {id: welcome, wallet: points, threshold: {from: 1, points: 10}, first_order: true}
  - id: spring
    wallet: points
    rate: 1
    during: {from: "2026-04-01T00:00:00Z", until: "2026-05-01T00:00:00Z"}
  - {id: growth, wallet: growth, rate: 1}
multipliers:
  - {id: birthday, factor: 2, days: birthday, rules: [base]}
"""


def refunded(order_id: str, member_id: str, at: Instant, **given_back: Any) -> Consumed:
    """A refund as a worker brings it to the ledger: of everything, or of what is given, as the contract has it."""
    refund_id = f"R-{order_id}"
    data = {
        "refund_id": refund_id,
        "order_id": order_id,
        "member_id": member_id,
        "currency": "USD",
        "occurred_at": rfc3339(at),
        **(given_back or {"full": True}),
    }
    value = orjson.dumps(refund_event_of(data, f"{member_id}/{refund_id}"))
    decoded = refund.CONTRACT.decode(value, ())
    return Consumed(Event(decoded.ref, at, decoded.fact), decoded.digest, message_of(value, 0, at, member_id.encode()))


def taken(member_id: str, points: int, at: Instant) -> Consumed:
    """An operator takes points, as the desk brings it to the ledger: as good as spent."""
    fact = Adjustment(MemberId(member_id), Wallet("points"), -points, "op", "spent", at)
    return adjustment_of(event_of(EventSource("/desk"), AdjustmentId(f"adj-{at}"), fact), at)
