"""What happens outside and is decided here: orders that are paid, refunds, adjustments. Facts are never changed.

Points are integers, money is in integer minor units, time is an `Instant`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import TypedDict

from shared.domain.ids import (
    EventId,
    EventSource,
    ImportId,
    LineId,
    LotId,
    MemberId,
    OrderId,
    RefundId,
    RuleId,
    Wallet,
)
from shared.domain.member import Profile
from shared.domain.time import Instant


class OrderLine(TypedDict):
    """One line of an order. Amounts are minor units of the order's currency, for the whole line.

    A dictionary, because that is what an order is decoded to: to make an object of each line would cost as much again.
    Nothing ever changes it.
    """

    line_id: LineId
    sku: str
    category: str | None
    brand: str | None
    quantity: int
    list_price: int
    discount: int
    tax: int
    paid: int
    """Paid in money for this line: after discounts, with its tax, without the part paid in points."""
    paid_in_points: int


@dataclass(slots=True)
class Order:
    """A paid order. `exponent` is the ISO 4217 exponent of its currency: 2 for USD, 0 for JPY."""

    order_id: OrderId
    member_id: MemberId
    currency: str
    exponent: int
    paid: int
    shipping: int
    channel: str | None
    store: str | None
    occurred_at: Instant
    lines: Sequence[OrderLine]
    payment_method: str | None = None


class RefundReason(StrEnum):
    """Why something was given back. It changes nothing about the points."""

    RETURN = "return"
    CANCELLED = "cancelled"
    """The order was called off, perhaps before it was paid."""
    CHARGEBACK = "chargeback"
    EXCHANGE = "exchange"
    OTHER = "other"


@dataclass(slots=True)
class GivenBack:
    """What a refund gives back of one line: so many pieces, or so many minor units; the other one is 0."""

    line_id: LineId
    quantity: int
    amount: int


@dataclass(slots=True)
class Refund:
    """Something of an order is given back: of some lines, an amount for the order as a whole, or with `full` all that
    is left. `shipping` takes no points. Amounts are minor units."""

    refund_id: RefundId
    order_id: OrderId
    member_id: MemberId
    currency: str
    reason: RefundReason
    full: bool
    lines: tuple[GivenBack, ...]
    amount: int
    shipping: int
    occurred_at: Instant


@dataclass(slots=True)
class Adjustment:
    """An operator gives points, or with a negative number takes them.

    What is given ends at `expires_at`; None: as the wallet's points do. What is taken comes from all that is available,
    or with a `lot_id` from what is left of that lot, and then at most so many. `actor`, `reason` and the import that it
    belongs to are for the record.
    """

    member_id: MemberId
    wallet: Wallet
    points: int
    actor: str
    reason: str
    occurred_at: Instant
    expires_at: Instant | None = None
    lot_id: LotId | None = None
    import_id: ImportId | None = None


EventKey = tuple[EventSource, EventId]
"""What makes an event the same as another one."""


@dataclass(slots=True)
class Appeal:
    """What the event `reverses` took from the member comes back: a penalty, or what an operator took. `actor` and
    `reason` are for the record."""

    member_id: MemberId
    reverses: EventKey
    actor: str
    reason: str
    occurred_at: Instant


@dataclass(slots=True)
class CheckIn:
    """A member checked in. With `makeup_day`, a make-up card fills that day instead.

    `streak` names the streak; None is the only one that the program has.
    """

    member_id: MemberId
    streak: RuleId | None
    makeup_day: date | None
    occurred_at: Instant


@dataclass(slots=True)
class Behaviour:
    """A member did something, which the platform calls by a name; it may be about an order, or a subject."""

    member_id: MemberId
    name: str
    order_id: OrderId | None
    subject: str | None
    occurred_at: Instant


@dataclass(slots=True)
class MemberChange:
    """Who a member is, by its platform, from `occurred_at` on. At each instant the greatest `version` holds that was so
    by then."""

    member_id: MemberId
    version: int
    profile: Profile
    occurred_at: Instant


Fact = Order | Refund | Adjustment | Appeal | CheckIn | Behaviour | MemberChange
"""What an event tells of."""


@dataclass(slots=True)
class EventRef:
    """The identity of an event as its producer gave it: (source, id) is unique."""

    source: EventSource
    event_id: EventId
    event_type: str

    @property
    def key(self) -> EventKey:
        return self.source, self.event_id


@dataclass(slots=True)
class Event:
    """A fact, as one event tells of it. `arrived_at` is the instant at which the log took the event in."""

    ref: EventRef
    arrived_at: Instant
    fact: Fact

    @property
    def member_id(self) -> MemberId:
        return self.fact.member_id


@dataclass(slots=True)
class Sweep:
    """Time has passed: settle what fell due at or before `arrived_at`. It is nobody's event and is not recorded."""

    member_id: MemberId
    arrived_at: Instant
