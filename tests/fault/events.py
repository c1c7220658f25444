"""The events of every round: the same each time, so that what they come to is computed once.

Forty days of orders of some hundred members, with what a platform sends beside them: duplicates, late orders, ids and
orders used twice, bad messages, and copies in partitions where they do not belong. Points become active after two days
or expire after five, so much falls due on the way.

Between the topics of orders and of refunds there is no order. So they come in phases, of which the next begins when the
last one was read; refunds that come before their order come in a phase before it.
"""

import random
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from itertools import chain
from typing import Any

import orjson

from shared.contracts.program import parse_program
from shared.domain.ids import EventId, EventSource, RefundId
from shared.domain.program import Programs
from shared.domain.time import DAY_US, SECOND_US, Instant, instant_of, rfc3339
from shared.ledger.sharding import shard_of
from shared.settings import ORDER_PAID, REFUND
from shared.simulation import Simulation
from tests.support.orders import SOURCE, data_of, event_of, refund_event_of

SHARDS = 8
MEMBERS = 240
ORDERS = 2_400
ORDERS_PER_PHASE = 400
REFUNDS_PER_PHASE = 60
COPIES = 60
SWEEP_LAG_US = 3 * DAY_US
"""How far the expiry worker is behind when refunds begin to come in, in the time of the replay."""
EVERY_US = 40 * DAY_US // ORDERS
BEGIN = instant_of(datetime(2026, 3, 1, 12, tzinfo=UTC))

GIFT = "gift"
"""A wallet, and its rule, whose budget is used up: who gets the last of it depends on the order in which the workers
take the events. Nothing else does: it is as many points as growth, so that where a gift is given or taken back growth
is too, whatever is left; it has no lots, and never falls due."""

GIFTS = 60_000
"""The size of the budget of gifts; without one they would come to three times as much."""

PROGRAM = f"""
program: short-lived
version: 1
effective_from: "2026-01-01T00:00:00Z"
zone: America/New_York
currency: USD
wallets:
  points: {{spendable: true, expiry: {{days: 5}}}}
  growth: {{spendable: false, expiry: never}}
  {GIFT}: {{spendable: false, expiry: never}}
rules:
  - {{id: base, wallet: points, rate: 6/5}}
  - {{id: house-brand, wallet: points, rate: 0.7, match: {{brands: [Private]}}, pending: {{days: 2}}}}
  - {{id: growth, wallet: growth, rate: 1}}
  - {{id: {GIFT}, wallet: {GIFT}, rate: 1}}
budgets:
  - {{id: fund, points: 1000000000}}
  - {{id: house-brand-day, rules: [house-brand], points: 1000000, per: day}}
  - {{id: gifts, rules: [{GIFT}], points: {GIFTS}}}
"""
PROGRAMS = Programs([parse_program(PROGRAM).to_domain()])


@dataclass(frozen=True, slots=True)
class Sent:
    """A message as it is sent: to which topic and partition, and when it arrives there."""

    topic: str
    partition: int
    arrived_at: Instant
    key: bytes
    value: bytes


@dataclass(frozen=True)
class Events:
    """All messages in the order of their arrival, in phases of one topic each; the copies are sent when all others were
    read."""

    phases: Sequence[Sequence[Sent]]
    copies: Sequence[Sent]
    told_by: Mapping[RefundId, tuple[EventSource, EventId]]
    """The first event that tells of each refund."""
    end: Instant
    """Until when time passes after the last of them."""

    @cached_property
    def refund_moments(self) -> Sequence[range]:
        """About the postings of each phase of refunds, by number, where nothing disturbs the workers."""
        found = []
        simulation = Simulation(PROGRAMS)
        for phase in self.phases:
            at = phase[-1].arrived_at
            if phase[-1].topic == REFUND:
                simulation.settle(Instant(at - SWEEP_LAG_US))
                first = _postings(simulation)
            for message in phase:
                simulation.feed(message.value, (), message.arrived_at)
            if phase[-1].topic == REFUND:
                simulation.settle(Instant(at - PROGRAMS.allowed_lateness_us))
                found.append(range(first, _postings(simulation)))
        return found

    @property
    def settled_to(self) -> Instant:
        """By when everything is settled in the end."""
        return Instant(self.end - PROGRAMS.allowed_lateness_us)

    def simulate(self) -> Simulation:
        """What the pure core makes of them, undisturbed."""
        simulation = Simulation(PROGRAMS)
        for message in (*chain(*self.phases), *self.copies):
            simulation.feed(message.value, (), message.arrived_at)
        simulation.settle(self.settled_to)
        return simulation


def _postings(simulation: Simulation) -> int:
    return sum(len(member.postings) for member in simulation.members.values())


def make_events() -> Events:
    """The events; they are the same every time."""
    chance = random.Random(4)
    maker = _Maker(chance)
    phases = [
        [message for number in range(first, first + ORDERS_PER_PHASE) for message in maker.make(number)]
        for first in range(0, ORDERS, ORDERS_PER_PHASE)
    ]
    refunds = _RefundMaker(chance, phases)
    phases = [phase for number, orders in enumerate(phases) for phase in (orders, refunds.make(number))]
    last = phases[-1][-1].arrived_at
    copies = [
        replace(message, partition=(message.partition + 1 + chance.randrange(SHARDS - 1)) % SHARDS, arrived_at=last)
        for message in chance.sample(list(chain(*phases)), COPIES)
    ]
    return Events(phases, copies, refunds.told_by, Instant(last + 4 * DAY_US))


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
            return [replace(paid.message, arrived_at=arrived_at)]
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
        for line in data["lines"]:
            line["quantity"] = chance.randrange(1, 4)
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
    return Sent(ORDER_PAID, shard_of(member_id, SHARDS), arrived_at, member_id.encode(), value)


def _bad(chance: random.Random, member_id: str, arrived_at: Instant) -> Sent:
    data = data_of("order-bad", member_id, [100], arrived_at)
    data["paid"] = -1
    value = chance.choice([b"{ not json", b"", b"[]", orjson.dumps(event_of(data, "event-bad"))])
    return Sent(ORDER_PAID, shard_of(member_id, SHARDS), arrived_at, member_id.encode(), value)


def _twins(chance: random.Random, number: int, arrived_at: Instant) -> list[Sent]:
    """The only order of a member, sent to three partitions at once: whichever is read first counts."""
    member_id = f"twin-{number}"
    message = _message(data_of(f"order-{number}", member_id, [2_000], arrived_at), f"event-{number}", arrived_at)
    others = chance.sample([partition for partition in range(SHARDS) if partition != message.partition], 2)
    return [message, *(replace(message, partition=partition) for partition in others)]


class _RefundMaker:
    """Makes the refunds of a phase: of orders that were sent, of some that are still to come, and of none at all."""

    def __init__(self, chance: random.Random, orders: Sequence[Sequence[Sent]]) -> None:
        self.told_by: dict[RefundId, tuple[EventSource, EventId]] = {}
        self._chance = chance
        self._orders = [[event for message in phase if (event := _order_in(message))] for phase in orders]
        self._ends = [phase[-1].arrived_at for phase in orders]
        self._refunds: list[dict[str, Any]] = []

    def make(self, number: int) -> list[Sent]:
        """The refunds that come behind the orders of a phase."""
        chance = self._chance
        sent: list[Sent] = []
        while len(sent) < REFUNDS_PER_PHASE:
            what = chance.random()
            data = self._refund(number)
            event_id = f"event-of-{data['refund_id']}"
            if sent and what < 0.05:  # the platform sends it again
                sent.append(chance.choice(sent))
                continue
            if what < 0.07:
                data["full"] = data["amount"] = None
            elif what < 0.09:
                event_id = chance.choice(self._orders[number])["id"]  # which an order's event has used
            elif self._refunds and what < 0.15:
                data = chance.choice(self._refunds)  # another event tells of the same refund
            else:
                self._refunds.append(data)
                self.told_by[data["refund_id"]] = (EventSource(SOURCE), EventId(event_id))
            key, value = data["member_id"].encode(), orjson.dumps(refund_event_of(data, event_id))
            sent.append(Sent(REFUND, shard_of(data["member_id"], SHARDS), self._ends[number], key, value))
        return sent

    def _refund(self, number: int) -> dict[str, Any]:
        """Of an order of the last two phases; now and then of the next one, and of an order that never comes."""
        chance = self._chance
        phase = number + 1 if chance.random() < 0.08 else max(0, number - chance.randrange(2))
        order = chance.choice(self._orders[min(phase, len(self._orders) - 1)])["data"]
        refund_id = f"refund-{number}-{chance.randrange(10**9)}"
        return {
            "refund_id": refund_id,
            "order_id": order["order_id"] if chance.random() < 0.96 else f"never-{refund_id}",
            "member_id": order["member_id"],
            "currency": order["currency"],
            "occurred_at": rfc3339(Instant(self._ends[number] - chance.choice((0, 0, DAY_US, 40 * DAY_US)))),
        } | self._given_back(order)

    def _given_back(self, order: dict[str, Any]) -> dict[str, Any]:
        """All, or something of it; or more than was paid."""
        chance = self._chance
        line = chance.choice(order["lines"])
        match chance.randrange(6):
            case 0:
                return {"full": True}
            case 1:
                return {"amount": chance.randrange(1, order["paid"] + 500)}
            case 2 | 3:
                return {"lines": [{"line_id": line["line_id"], "amount": chance.randrange(1, line["paid"] + 99)}]}
            case 4:
                return {"lines": [{"line_id": line["line_id"], "quantity": chance.randrange(1, line["quantity"] + 1)}]}
            case _:
                lines = [{"line_id": other["line_id"], "quantity": 1} for other in order["lines"]]
                return {"lines": lines, "shipping": 499}


def _order_in(message: Sent) -> dict[str, Any] | None:
    """The event in a message, if it tells of an order."""
    try:
        event: dict[str, Any] = orjson.loads(message.value)
        return event if event["data"]["paid"] >= 0 else None
    except (orjson.JSONDecodeError, TypeError):
        return None
