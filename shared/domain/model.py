"""What the domain speaks of: orders, accounts, lots, movements, postings and decisions.

Everything here is a value. Points are integers, money is in integer minor units, time is an `Instant`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypedDict

from shared.domain.ids import (
    EventId,
    EventSource,
    LineId,
    LotId,
    MemberId,
    OrderId,
    ProgramVersion,
    RuleId,
    Wallet,
)
from shared.domain.time import EPOCH, Instant

BALANCE_LIMIT = 10**18
"""No account may ever be issued more points than this in one wallet, so that no sum leaves int64."""


class Bucket(StrEnum):
    """Where points of a wallet are. A movement takes them from one bucket to another; all buckets sum to zero."""

    ISSUED = "issued"
    """The source of all points: its balance is minus what was ever issued."""
    PENDING = "pending"
    AVAILABLE = "available"
    EXPIRED = "expired"
    CLAWED_BACK = "clawed_back"
    DEBT = "debt"
    """Minus what the member owes: points that were taken back when they were already spent."""


class PostingKind(StrEnum):
    """Why a posting was made."""

    ACCRUAL = "accrual"
    SETTLEMENT = "settlement"
    """Something fell due: lots became active, or expired."""
    ADJUSTMENT = "adjustment"


class Outcome(StrEnum):
    """What became of an event. Where several apply, the first in this order is given.

    Every consumed event has exactly one of them, kept with it in the ledger.
    """

    NO_PROGRAM_IN_FORCE = "no_program_in_force"
    """No version of the program was in force when it happened."""
    TOO_EARLY = "too_early"
    """It claims to have happened further in the future than `future_tolerance` allows."""
    TOO_LATE = "too_late"
    """It arrived later than `late_tolerance` allows."""
    CURRENCY_NOT_ACCEPTED = "currency_not_accepted"
    """The program does not rate this currency."""
    ORDER_ALREADY_PAID = "order_already_paid"
    """Another event has paid this order of this member before; an order earns once."""
    BALANCE_LIMIT_REACHED = "balance_limit_reached"
    """The points would take the account past `BALANCE_LIMIT`."""
    NOTHING_EARNED = "nothing_earned"
    """The order is kept, but no rule gave a point for it."""
    POSTED = "posted"
    """Points moved."""


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


@dataclass(slots=True)
class EventRef:
    """The identity of an event as its producer gave it: (source, id) is unique."""

    source: EventSource
    event_id: EventId
    event_type: str


@dataclass(slots=True)
class OrderPaid:
    """An order was paid. `arrived_at` is the instant at which the log took the event in."""

    ref: EventRef
    arrived_at: Instant
    order: Order

    @property
    def member_id(self) -> MemberId:
        return self.order.member_id


@dataclass(slots=True)
class Sweep:
    """Time has passed: settle what fell due at or before `arrived_at`. It is nobody's event and is not recorded."""

    member_id: MemberId
    arrived_at: Instant


Event = OrderPaid | Sweep
"""What can be decided."""


@dataclass(slots=True)
class Lot:
    """Points of one wallet that were issued together and fall due together.

    `remaining` of `issued` are still there. `activates_at` is set while the lot is pending and None from then on;
    `expires_at` None means never.
    """

    lot_id: LotId
    wallet: Wallet
    order_id: OrderId | None
    issued: int
    remaining: int
    activates_at: Instant | None
    expires_at: Instant | None

    @property
    def due_at(self) -> Instant | None:
        """The next instant at which something happens to it by itself; None when nothing will."""
        if self.remaining == 0:
            return None
        return self.expires_at if self.activates_at is None else self.activates_at


@dataclass(slots=True)
class Debt:
    """Points of a wallet that a member owes for an order."""

    wallet: Wallet
    order_id: OrderId
    amount: int


Balances = Mapping[Wallet, Mapping[Bucket, int]]
"""Points by wallet and bucket; a bucket that was never touched is missing, and is zero."""


@dataclass(slots=True)
class Account:
    """What is known of a member before a decision.

    `next_due_at` is the least instant at which something falls due, None when nothing will. `lots` holds the open lots
    that the decision may need: at least all that fall due by the event's arrival; `later_due_at` is the least due
    instant among those that were left out. `orders` are the ids, out of those that the decision asked for, which the
    member has already paid. An account that nobody has seen has version 0.
    """

    member_id: MemberId
    version: int = 0
    settled_to: Instant = EPOCH
    next_due_at: Instant | None = None
    lots_issued: int = 0
    balances: Balances = field(default_factory=dict)
    lots: Mapping[LotId, Lot] = field(default_factory=dict)
    debts: tuple[Debt, ...] = ()
    later_due_at: Instant | None = None
    orders: frozenset[OrderId] = frozenset()


@dataclass(slots=True)
class Movement:
    """`amount` > 0 points of a wallet that go from one bucket to another. One row is double entry by construction."""

    wallet: Wallet
    from_bucket: Bucket
    to_bucket: Bucket
    amount: int
    rule_id: RuleId | None = None
    lot_id: LotId | None = None
    order_id: OrderId | None = None


@dataclass(slots=True)
class Posting:
    """What one event, or one due instant, did to one account. `balances` and `next_due_at` are those after it."""

    member_id: MemberId
    version: int
    kind: PostingKind
    event: EventRef | None
    order_id: OrderId | None
    program_version: ProgramVersion
    occurred_at: Instant
    effective_at: Instant
    movements: tuple[Movement, ...]
    balances: Balances
    next_due_at: Instant | None


@dataclass(slots=True)
class RatedOrder:
    """An accepted order as it was rated: by line the base in minor units, and the points of each rule that gave some.

    It is frozen: a refund takes its share of these points, whatever the rules say by then. The limit of a rule does not
    show in them; `trimmed` says how many of a rule's points it has taken, where it has.
    """

    order: Order
    program_version: ProgramVersion
    bases: Sequence[int]
    points: Mapping[RuleId, Sequence[int]]
    trimmed: Mapping[RuleId, int] = field(default_factory=dict)


@dataclass(slots=True)
class Decision:
    """What an event comes to: an outcome, the account after it, its postings, and the order to keep.

    Without postings the account is as it was.
    """

    outcome: Outcome
    account: Account
    postings: tuple[Posting, ...]
    order: RatedOrder | None
