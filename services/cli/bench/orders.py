"""The orders of the bench: three lines and some 600 bytes each, the same in every run but for the time."""

import random
from collections.abc import Iterator
from enum import StrEnum

import orjson

from services.cli.sending import Outgoing, Sender, bulk_producer
from shared.clock import wall_clock
from shared.contracts.inbound import BY_TYPE
from shared.domain.time import Instant, rfc3339
from shared.settings import Settings
from shared.setup import SHARDS

MEMBERS = 200_000
FEW = MEMBERS // 100
"""With the skew, one member in a hundred places half of the orders."""


class Spread(StrEnum):
    """Which members place the orders."""

    EVEN = "even"
    SKEWED = "skewed"


def orders(count: int, spread: Spread, first: int = 0) -> Iterator[Outgoing]:
    """So many orders, numbered from `first` on, all of them paid now."""
    chance = random.Random(first + 1)  # noqa: S311 (the same orders again, not secrets)
    now = wall_clock()
    for number in range(first, first + count):
        members = FEW if spread is Spread.SKEWED and chance.random() < 0.5 else MEMBERS
        yield order(chance, number, f"member-{chance.randrange(members)}", now)


def order(chance: random.Random, number: int, member_id: str, now: Instant) -> Outgoing:
    """An order of three lines by a member."""
    lines: list[dict[str, object]] = []
    paid = 0
    for line in range(1, 4):
        list_price = chance.randrange(100, 20_000)
        discount = list_price // 10
        paid += list_price - discount
        lines.append(
            {
                "line_id": str(line),
                "sku": f"SKU-{chance.randrange(10_000)}",
                "category": chance.choice(["GROCERY", "DELI", "MEAT"]),
                "brand": "National",
                "quantity": 1,
                "list_price": list_price,
                "discount": discount,
                "tax": 0,
                "paid": list_price - discount,
            }
        )
    data = {
        "order_id": f"order-{number}",
        "member_id": member_id,
        "currency": "USD",
        "paid": paid,
        "lines": lines,
        "channel": "web",
        "store": "1",
        "occurred_at": rfc3339(now),
    }
    return Outgoing("/bench", f"event-{number}", member_id, now, orjson.dumps(data))


async def send(settings: Settings, events: Iterator[Outgoing]) -> None:
    """Send them as fast as it goes, and return when the broker has them."""
    producer = bulk_producer(settings.kafka)
    await producer.start()
    try:
        senders = {kind: Sender(producer, settings.topic(each.topic), SHARDS) for kind, each in BY_TYPE.items()}
        for event in events:
            await senders[event.event_type].send(event)
        for sender in senders.values():
            await sender.flush()
    finally:
        await producer.stop()
