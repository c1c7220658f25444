"""What comes in an interleaving, at random: orders, refunds, invitations, penalties, duplicates, used ids, what nobody
can read, and what operators give, take and give back."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, NamedTuple

import orjson

from shared.contracts import behaviour
from shared.contracts.program import parse_program
from shared.domain.facts import Adjustment, Appeal, EventKey
from shared.domain.ids import AdjustmentId, EventId, EventSource, MemberId, Wallet
from shared.domain.program import Programs
from shared.domain.time import Instant, instant_of
from shared.ledger.adjustments import adjustment_of
from shared.ledger.adjustments import event_of as adjustment_event_of
from shared.ledger.batch import Consumed
from shared.ledger.desk import SOURCE as DESK
from shared.settings import ORDER_PAID, REFUND
from tests.support.orders import SOURCE, data_of, event_of, refund_event_of

START = datetime(2026, 3, 10, 12, tzinfo=UTC)
HOUR_MS = 3_600_000

_TEXT = """
program: simulated
version: 1
effective_from: "2020-01-01T00:00:00Z"
zone: UTC
currency: USD
late_tolerance: 30d
future_tolerance: 5m
allowed_lateness: 1h
wallets:
  points:
    spendable: true
    expiry: {days: 1}
  growth:
    spendable: false
    expiry: never
rules:
  - {id: base, wallet: points, rate: 1}
  - {id: house, wallet: points, rate: 1/2, match: {brands: [Private]}, pending: {days: 1, exact: true}}
  - {id: growth, wallet: growth, rate: 1, match: {brands: [Private]}, pending: {days: 0}}
behaviours:
  - {id: spam, behaviour: spam, wallet: points, points: -20, floor: zero}
  - {id: fraud, behaviour: fraud, wallet: points, points: -30, floor: debt}
refunds:
  shortfall: SHORTFALL
referrals:
  - id: invite
    behaviour: invite
    inviter: {wallet: points, points: 7}
    invited: {wallet: points, points: 5}
    pending: {days: 1, exact: true}
caps:
  - {id: daily, rules: [base, house], per: day, points: 30}
budgets:
  - {id: orders, rules: [base, house], points: ORDERS}
  - {id: house-day, rules: [house], per: day, points: HOUSE}
"""


class Program(NamedTuple):
    """A version of the program, as it is stored and as decisions know it."""

    text: str
    programs: Programs


def _program(orders: int, house: int, shortfall: str) -> Program:
    text = _TEXT.replace("ORDERS", str(orders)).replace("HOUSE", str(house)).replace("SHORTFALL", shortfall)
    return Program(text, Programs([parse_program(text, "simulated").to_domain()]))


PLENTY = _program(1_000_000, 1_000_000, "debt")
"""Its budgets are never used up."""

CLIPPING = _program(1_000_000, 1_000_000, "clip")
"""What a refund cannot take back is let go."""

SCARCE = _program(40, 9, "debt")
"""Its budgets are used up by a few large orders."""

CLIPPING_SCARCE = _program(40, 9, "clip")
"""Both: only where one thing happens after the other."""

BEHAVIOUR = behaviour.CONTRACT.topic
START_MS = int(START.timestamp()) * 1000
SINCE = instant_of(datetime(2020, 1, 1, tzinfo=UTC))
"""Since when the program is in force."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A message on its way into the log: how much time passes before it, to where, and what it says."""

    after_ms: int
    topic: str
    partition: int
    key: bytes
    value: bytes


class _Message(NamedTuple):
    topic: str
    key: bytes
    value: bytes


class Workload:
    """Makes messages, one after the other, at the time of the simulated clock."""

    def __init__(self, random: Random, partitions: int) -> None:
        self.keyed = random.random() < 0.5
        """Whether all events of a member are in one partition, as the platform should do it."""
        self.refunding = random.random() < 0.5
        """Whether there are refunds. Between their topic and that of orders there is no order."""
        self.inviting = random.random() < 0.3
        """Whether members invite each other, in a topic of its own too."""
        self.appealing = random.random() < 0.3
        """Whether there are penalties, and operators who give and take points, and give back what was taken."""
        self.program = random.choice((PLENTY, CLIPPING, CLIPPING) if self.refunding else (PLENTY, SCARCE))
        """Where budgets run out, nothing is given back: a batch may not see what another one is giving back just now,
        and posts as if it had come first, though its commit comes last."""
        self._random = random
        self._partitions = partitions
        self._members = [f"m{number}" for number in range(random.randint(1, 2 if self.appealing else 3))]
        self._number = 0
        self._sent: list[_Message] = []
        self._orders: list[dict[str, Any]] = []
        self._refunds: list[dict[str, Any]] = []
        self._coming: list[dict[str, Any]] = []
        """Orders of which something was given back before they are told of; some never are."""
        self.is_order_next = False
        """Whether the order of the last refund is to come at the same moment."""
        self._ids: list[tuple[str, str]] = []
        self._adjusted = 0
        self._takings: list[tuple[str, EventKey]] = []
        """Penalties, and what operators took: of whom, and by which event."""
        self.short: list[dict[str, Any]] = []
        """An order that is given back next, when its points were taken: they are missing then."""

    @property
    def ordered(self) -> bool:
        """Whether each member's messages have one order, and what they give does not depend on others' messages."""
        return self.keyed and not (self.refunding or self.inviting or self.appealing) and self.program is PLENTY

    def next(self, now_ms: int) -> Sent:
        """The next message, with how much time passes before it: often none, sometimes hours, seldom days."""
        random = self._random
        after_ms = 0 if self.is_order_next else random.choice((0, 0, 0, 1, 1000, HOUR_MS, 5 * HOUR_MS, 30 * HOUR_MS))
        message = self._message(START + timedelta(milliseconds=now_ms + after_ms - START_MS))
        self._sent.append(message)
        partition = sum(message.key) % self._partitions if self.keyed else random.randrange(self._partitions)
        return Sent(after_ms, message.topic, partition, message.key, message.value)

    def _message(self, now: datetime) -> _Message:
        random = self._random
        if self.is_order_next or self.short:
            return self._awaited(now)
        if self.inviting and random.random() < 0.25:
            self._number += 1
            return self._invitation(now)
        if self.appealing and random.random() < 0.2:
            self._number += 1
            return self._penalty(now)
        return self._random_message(now)

    def _awaited(self, now: datetime) -> _Message:
        """The order that is to come in the same moment as its refund, or the refund for which points are missing."""
        self._number += 1
        event_id = f"e{self._number}"
        if self.is_order_next:
            self.is_order_next = False
            return self._tell(self._orders, self._coming.pop(), event_id)
        return self._tell(self._refunds, self._refund_of(self.short.pop(), now) | {"full": True}, event_id)

    def _random_message(self, now: datetime) -> _Message:
        random = self._random
        kind = random.random()
        if self._sent and kind < 0.2:
            return random.choice(self._sent)
        if kind < 0.23:
            topic = REFUND if self.refunding and random.random() < 0.5 else ORDER_PAID
            return _Message(topic, random.choice(self._members).encode(), b"{")
        self._number += 1
        refunds = self.refunding and random.random() < (0.3 if self.appealing else 0.5)
        data = self._refund(now) if refunds else self._order(now)
        event_id = f"e{self._number}"
        used = self._used_ids(data["member_id"])
        told = self._refunds if refunds else self._orders
        if used and kind < 0.3:
            event_id = random.choice(used)
        elif told and kind < (0.5 if refunds else 0.36):
            data = random.choice(told)  # an order, or a refund, that another event told of already
            self.is_order_next = False
        return self._tell(told, data, event_id)

    def _tell(self, told: list[dict[str, Any]], data: dict[str, Any], event_id: str) -> _Message:
        told.append(data)
        member_id: str = data["member_id"]
        self._ids.append((member_id, event_id))
        if told is self._refunds:
            return _Message(REFUND, member_id.encode(), orjson.dumps(refund_event_of(data, event_id)))
        return _Message(ORDER_PAID, member_id.encode(), orjson.dumps(event_of(data, event_id)))

    def _used_ids(self, member_id: str) -> list[str]:
        """Ids of earlier events. Across partitions nobody could say which use of an id comes first."""
        return [event_id for member, event_id in self._ids if member == member_id or not self.keyed]

    def _order(self, now: datetime) -> dict[str, Any]:
        if self._coming and self._random.random() < 0.7:
            return self._coming.pop()
        return self._new_order(now)

    def _new_order(self, now: datetime) -> dict[str, Any]:
        random = self._random
        late = random.choice((0, 0, 0, 1, 3, 20, 30, 31 * 24, -1))
        amounts = [random.choice((50, 100, 1000, 2500))]
        if self.refunding and random.random() < 0.5:
            amounts.append(random.choice((0, 99, 700)))
        data = data_of(
            f"o{self._number}", random.choice(self._members), amounts, brand=random.choice(("Private", "National"))
        )
        data["lines"][0]["quantity"] = random.choice((1, 1, 3))
        data["occurred_at"] = (now - timedelta(hours=late)).isoformat()
        return data

    def _invitation(self, now: datetime) -> _Message:
        """A member, or somebody of whom nobody has heard, invites another one, perhaps after orders of that one."""
        random = self._random
        inviter = random.choice((*self._members, f"n{self._number}"))
        invited = random.choice((*self._members, f"n{self._number + 1}", inviter))
        if self._orders and random.random() < 0.5:
            invited = random.choice(self._orders)["member_id"]
        at = now - timedelta(hours=random.choice((0, 0, 3, 40, 100)))
        data = {"member_id": inviter, "behaviour": "invite", "subject": invited, "occurred_at": at.isoformat()}
        return self._behaviour(data)

    def _penalty(self, now: datetime) -> _Message:
        """Somebody did what costs points; mostly somebody who may have some."""
        random = self._random
        member_id = random.choice(self._orders)["member_id"] if self._orders else random.choice(self._members)
        at = now - timedelta(hours=random.choice((0, 0, 0, 2, 30)))
        data = {"member_id": member_id, "behaviour": random.choice(("spam", "fraud")), "occurred_at": at.isoformat()}
        self._takings.append((member_id, (EventSource(SOURCE), EventId(f"e{self._number}"))))
        return self._behaviour(data)

    def _behaviour(self, data: dict[str, Any]) -> _Message:
        member_id: str = data["member_id"]
        event = event_of(data, f"e{self._number}") | {"type": behaviour.TYPE}
        self._ids.append((member_id, f"e{self._number}"))
        return _Message(BEHAVIOUR, member_id.encode(), orjson.dumps(event))

    def adjust(self, seen: Mapping[str, int], now: Instant) -> list[Consumed]:
        """What an operator posts at once, one thing or two, for members whose points he sees."""
        random = self._random
        events = []
        for _ in range(random.choice((1, 1, 1, 2))):
            self._adjusted += 1
            fact = self._appeal(seen, now) if self._takings and random.random() < 0.6 else self._adjustment(seen, now)
            value = adjustment_event_of(DESK, AdjustmentId(f"a{self._adjusted}"), fact)
            events.append(adjustment_of(value, now))
        return events

    def _adjustment(self, seen: Mapping[str, int], now: Instant) -> Adjustment:
        """Mostly all, or all but one, of a member's points is taken."""
        random = self._random
        member_id, points = random.choice([each for each in seen.items() if each[1] > 0] or [*seen.items()])
        points = random.choice((-points or 5, 1 - points or 5, -5, 10))
        if points < 0:
            self._takings.append((member_id, (DESK, EventId(f"a{self._adjusted}"))))
            paid = [order for order in self._orders if order["member_id"] == member_id]
            if self.refunding and paid:
                self.short = paid[-1:]
        return Adjustment(MemberId(member_id), Wallet("points"), points, "ann", "for a reason", now)

    def _appeal(self, seen: Mapping[str, int], now: Instant) -> Appeal:
        """Against something that was taken, perhaps for the second time; seldom against what was another's."""
        member_id, event = self._random.choice(self._takings)
        if member_id not in seen or self._random.random() < 0.05:
            member_id = self._random.choice([*seen])
        return Appeal(MemberId(member_id), event, "ann", "for a reason", now)

    def _refund(self, now: datetime) -> dict[str, Any]:
        """Something, or more, is given back of an order that was sent, that is to come, or that never comes."""
        random = self._random
        if self._orders and random.random() < 0.7:
            order = random.choice(self._orders)
        else:
            order = self._new_order(now)
            if random.random() < 0.5:
                order["member_id"] = f"n{self._number}"  # of whom nobody has heard yet
                self.is_order_next = random.random() < 0.7
            self._coming.append(order)
        at = now - timedelta(hours=random.choice((0, 0, 1, 40 * 24, -1)))
        return self._refund_of(order, at, random.choice((*("USD",) * 15, "EUR"))) | self._given_back(order)

    def _refund_of(self, order: dict[str, Any], at: datetime, currency: str = "USD") -> dict[str, Any]:
        return {
            "refund_id": f"r{self._number}",
            "order_id": order["order_id"],
            "member_id": order["member_id"],
            "currency": currency,
            "occurred_at": at.isoformat(),
        }

    def _given_back(self, order: dict[str, Any]) -> dict[str, Any]:
        random = self._random
        line = random.choice(order["lines"])
        match random.randrange(8):
            case 0 | 1:
                return {"full": True}
            case 2 | 3:
                return {"lines": [{"line_id": line["line_id"], "amount": random.choice((1, 33, line["paid"] + 1))}]}
            case 4 | 5:
                return {"lines": [{"line_id": line["line_id"], "quantity": 1}]}
            case 6:
                return {"lines": [{"line_id": "9", "quantity": 1}]}  # the order has no such line
            case _:
                return {"amount": random.choice((1, order["paid"] // 2 + 1, order["paid"] + 1)), "shipping": 5}
