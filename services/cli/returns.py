"""Simulated returns: which of the real baskets come back, by a seeded rule. The data themselves have none.

What becomes of a basket depends on its id and the seed alone, so every replay has the same returns.
"""

import heapq
import random
import zlib
from collections.abc import Iterable, Iterator
from typing import Any

import orjson

from services.cli.sending import Outgoing
from shared.contracts.refund import TYPE
from shared.domain.time import DAY_US, SECOND_US, Instant, rfc3339

SEED = 2017
SOURCE = "/simulated-returns"
RULE = (
    "4 in 100 baskets come back: of 20 such, 1 is cancelled at the till, and told of up to 3 minutes before the basket"
    " itself; 6 come back whole, and of the others some lines, by pieces or by money; all these 1 to 20 days later"
)
"""The rule in words, for the report."""

PERCENT = 4
DAYS = (1, 20)
EARLY_S = (1, 180)
"""How long before its basket a return at the till is told of; less than programs refuse as too early."""


def with_returns(baskets: Iterable[Outgoing]) -> Iterator[Outgoing]:
    """The baskets and their returns in order of time, up to the last basket: what comes back later is left out.

    At one instant the basket comes first.
    """
    waiting: list[tuple[Instant, int, Outgoing]] = []
    number = 0
    last = None
    for basket in baskets:
        last = basket.arrived_at
        heapq.heappush(waiting, (basket.arrived_at, number, basket))
        if (given_back := return_of(basket)) is not None:
            heapq.heappush(waiting, (given_back.arrived_at, number + 1, given_back))
        number += 2
        # A later basket may have a return that is earlier than this one by so much.
        yield from _until(waiting, Instant(last - EARLY_S[1] * SECOND_US))
    if last is not None:
        yield from _until(waiting, last)


def _until(waiting: list[tuple[Instant, int, Outgoing]], instant: Instant) -> Iterator[Outgoing]:
    while waiting and waiting[0][0] <= instant:
        yield heapq.heappop(waiting)[2]


def return_of(basket: Outgoing) -> Outgoing | None:
    """The return of a basket; None for most."""
    seed = f"{SEED}/{basket.event_id}"
    if zlib.crc32(seed.encode()) % 100 >= PERCENT:
        return None
    chance = random.Random(seed)  # noqa: S311 - a simulation, not a secret
    order = orjson.loads(basket.value)
    kind = chance.randrange(20)
    if kind == 0:
        at = Instant(basket.arrived_at - chance.randint(*EARLY_S) * SECOND_US)
        what = {"full": True, "reason": "cancelled"}
    else:
        at = Instant(basket.arrived_at + chance.randint(*DAYS) * DAY_US + chance.randint(-7_200, 7_200) * SECOND_US)
        lines = _some_lines(chance, order["lines"]) if kind > 6 else []
        what = {"lines": lines} if lines else {"full": True}
    return_id = f"return-of-{order['order_id']}"
    data = {
        "refund_id": return_id,
        "order_id": order["order_id"],
        "member_id": basket.member_id,
        "currency": order["currency"],
        "occurred_at": rfc3339(at),
        **what,
    }
    return Outgoing(SOURCE, return_id, basket.member_id, at, orjson.dumps(data), TYPE)


def _some_lines(chance: random.Random, lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One to three of the lines that were paid for: some of their pieces, or some of their money."""
    paid = [line for line in lines if line["paid"] and line["quantity"]]
    given_back = []
    for line in chance.sample(paid, min(len(paid), chance.randint(1, 3))):
        if chance.randrange(2):
            given_back.append({"line_id": line["line_id"], "quantity": chance.randint(1, line["quantity"])})
        else:
            given_back.append({"line_id": line["line_id"], "amount": chance.randint(1, line["paid"])})
    return given_back
