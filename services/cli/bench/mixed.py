"""A mixed stream: of ten events seven are orders, one is a refund, and two are check-ins or behaviours."""

import random
from collections import deque
from collections.abc import Iterator

import orjson

from services.cli.bench.orders import MEMBERS, order
from services.cli.sending import Outgoing
from shared.clock import wall_clock
from shared.contracts import behaviour, check_in, refund
from shared.domain.time import Instant, rfc3339

RECENT = 10_000
"""Refunds are of one of the last so many orders."""


def mixed(count: int, first: int = 0) -> Iterator[Outgoing]:
    """So many events, numbered from `first` on, all of them now."""
    chance = random.Random(first + 1)  # noqa: S311 (the same events again, not secrets)
    now = wall_clock()
    recent: deque[tuple[str, str]] = deque(maxlen=RECENT)
    for number in range(first, first + count):
        member_id = f"member-{chance.randrange(MEMBERS)}"
        what = chance.random()
        if what < 0.7 or not recent:
            paid = order(chance, number, member_id, now)
            recent.append((f"order-{number}", member_id))
            yield paid
        elif what < 0.8:
            yield _refund(chance, number, recent[chance.randrange(len(recent))], now)
        elif what < 0.9:
            yield _event(number, member_id, now, check_in.TYPE, {})
        else:
            yield _event(number, member_id, now, behaviour.TYPE, {"behaviour": "review"})


def _refund(chance: random.Random, number: int, of: tuple[str, str], now: Instant) -> Outgoing:
    """A line, a part of the money, or everything."""
    order_id, member_id = of
    parts: dict[str, object] = chance.choice(
        [{"lines": [{"line_id": "1", "quantity": 1}]}, {"amount": chance.randrange(1, 10_000)}, {"full": True}]
    )
    data = {"refund_id": f"refund-{number}", "order_id": order_id, "currency": "USD", **parts}
    return _event(number, member_id, now, refund.TYPE, data)


def _event(number: int, member_id: str, now: Instant, event_type: str, data: dict[str, object]) -> Outgoing:
    value = orjson.dumps({"member_id": member_id, **data, "occurred_at": rfc3339(now)})
    return Outgoing("/bench", f"event-{number}", member_id, now, value, event_type)
