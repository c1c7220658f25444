"""The events of every round: the same each time, so that what they come to is computed once.

Forty days of orders of some hundred members, with what a platform sends beside them: duplicates, late orders, ids and
orders used twice, bad messages, and copies in partitions where they do not belong. Points become active after two days
or expire after five, so much falls due on the way.
"""

import random
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import orjson

from shared.contracts.program import parse_program
from shared.domain.program import Programs
from shared.domain.time import DAY_US, SECOND_US, Instant, instant_of
from shared.ledger.sharding import shard_of
from shared.simulation import Simulation
from tests.support.orders import data_of, event_of

SHARDS = 8
MEMBERS = 240
ORDERS = 2_400
COPIES = 60
EVERY_US = 40 * DAY_US // ORDERS
BEGIN = instant_of(datetime(2026, 3, 1, 12, tzinfo=UTC))

PROGRAM = """
program: short-lived
version: 1
effective_from: "2026-01-01T00:00:00Z"
zone: America/New_York
currency: USD
wallets:
  points: {spendable: true, expiry: {days: 5}}
  growth: {spendable: false, expiry: never}
rules:
  - {id: base, wallet: points, rate: 6/5}
  - {id: house-brand, wallet: points, rate: 0.7, match: {brands: [Private]}, pending: {days: 2}}
  - {id: growth, wallet: growth, rate: 1}
"""
PROGRAMS = Programs([parse_program(PROGRAM).to_domain()])


@dataclass(frozen=True, slots=True)
class Sent:
    """A message as it is sent: to which partition, and when it arrives there."""

    partition: int
    arrived_at: Instant
    key: bytes
    value: bytes


@dataclass(frozen=True, slots=True)
class Events:
    """All messages in the order of their arrival; the copies are sent when all others were read."""

    messages: Sequence[Sent]
    copies: Sequence[Sent]
    end: Instant
    """Until when time passes after the last of them."""

    @property
    def settled_to(self) -> Instant:
        """By when everything is settled in the end."""
        return Instant(self.end - PROGRAMS.allowed_lateness_us)

    def simulate(self) -> Simulation:
        """What the pure core makes of them, undisturbed."""
        simulation = Simulation(PROGRAMS)
        for message in (*self.messages, *self.copies):
            simulation.feed(message.value, (), message.arrived_at)
        simulation.settle(self.settled_to)
        return simulation


def make_events() -> Events:
    """The events; they are the same every time."""
    chance = random.Random(4)
    maker = _Maker(chance)
    messages = [message for number in range(ORDERS) for message in maker.make(number)]
    last = messages[-1].arrived_at
    copies = [
        Sent((message.partition + 1 + chance.randrange(SHARDS - 1)) % SHARDS, last, message.key, message.value)
        for message in chance.sample(messages, COPIES)
    ]
    return Events(messages, copies, Instant(last + 4 * DAY_US))


@dataclass(frozen=True, slots=True)
class _Paid:
    """An order that was sent."""

    member_id: str
    order_id: str
    event_id: str
    message: Sent


class _Maker:
    """Makes mostly orders; now and then something else."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._lately: deque[_Paid] = deque(maxlen=60)

    def make(self, number: int) -> list[Sent]:
        """What arrives at the moment `number`."""
        chance = self._chance
        arrived_at = Instant(BEGIN + number * EVERY_US // 1000 * 1000)
        # One member in ten places half of the orders.
        member_id = f"member-{chance.randrange(MEMBERS // 10 if chance.random() < 0.5 else MEMBERS)}"
        order_id, event_id = f"order-{number}", f"event-{number}"
        what = chance.random()
        if not self._lately or what > 0.14:
            return [self._order(member_id, order_id, event_id, arrived_at)]
        paid = chance.choice(self._lately)
        if what < 0.05:  # the platform sends it again
            return [Sent(paid.message.partition, arrived_at, paid.message.key, paid.message.value)]
        if what < 0.07:
            return [_bad(chance, member_id, arrived_at)]
        if what < 0.09:
            return _twins(chance, number, arrived_at)
        if what < 0.115:  # another event pays the same order
            return [self._order(paid.member_id, paid.order_id, event_id, arrived_at)]
        return [self._order(paid.member_id, order_id, paid.event_id, arrived_at)]  # another order under a used id

    def _order(self, member_id: str, order_id: str, event_id: str, arrived_at: Instant) -> Sent:
        chance = self._chance
        cents = [chance.randrange(0, 9_000) for _ in range(chance.randrange(1, 4))]
        brand = chance.choice(["National", "National", "Private"])
        data = data_of(order_id, member_id, cents, Instant(arrived_at - self._late_us()), brand)
        if chance.random() < 0.01:
            data["currency"] = "EUR"
        message = _message(data, event_id, arrived_at)
        self._lately.append(_Paid(member_id, order_id, event_id, message))
        return message

    def _late_us(self) -> int:
        """How long an order took to arrive: some days, too many, or its clock is an hour ahead."""
        what = self._chance.random()
        if what < 0.10:
            return self._chance.randrange(1, 8 * DAY_US)
        if what < 0.11:
            return 40 * DAY_US
        return -3600 * SECOND_US if what < 0.12 else 0


def _message(data: dict[str, object], event_id: str, arrived_at: Instant) -> Sent:
    member_id = str(data["member_id"])
    value = orjson.dumps(event_of(data, event_id))
    return Sent(shard_of(member_id, SHARDS), arrived_at, member_id.encode(), value)


def _bad(chance: random.Random, member_id: str, arrived_at: Instant) -> Sent:
    data = data_of("order-bad", member_id, [100], arrived_at)
    data["paid"] = -1
    value = chance.choice([b"{ not json", b"", b"[]", orjson.dumps(event_of(data, "event-bad"))])
    return Sent(shard_of(member_id, SHARDS), arrived_at, member_id.encode(), value)


def _twins(chance: random.Random, number: int, arrived_at: Instant) -> list[Sent]:
    """The only order of a member, sent to three partitions at once: whichever is read first counts."""
    member_id = f"twin-{number}"
    message = _message(data_of(f"order-{number}", member_id, [2_000], arrived_at), f"event-{number}", arrived_at)
    others = chance.sample([partition for partition in range(SHARDS) if partition != message.partition], 2)
    return [message, *(Sent(partition, arrived_at, message.key, message.value) for partition in others)]
