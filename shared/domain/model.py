"""What the domain keeps: accounts with their lots and debts, orders as they were rated, movements, postings, decisions.

Everything here is a value. Points are integers, money is in integer minor units, time is an `Instant`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from shared.domain.circumstances import Circumstances
from shared.domain.facts import EventKey, EventRef, MemberChange, Refund
from shared.domain.ids import LineId, LotId, MemberId, OrderId, ProgramVersion, RuleId, Wallet
from shared.domain.member import KnownProfile
from shared.domain.program_budgets import BudgetKey
from shared.domain.referral import Referral
from shared.domain.streak import Days
from shared.domain.tally import Tallies
from shared.domain.time import EPOCH, NEVER, Instant

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
    WRITTEN_OFF = "written_off"
    """Minus what was let go: points to be taken back that were already spent, where the program takes no debt."""
    CASH_OFFSET = "cash_offset"
    """Minus what the shop keeps from refunds instead: points to be taken back that were already spent."""
    ADJUSTED = "adjusted"
    """What operators took."""
    PENALTY = "penalty"
    """What behaviours cost."""


class PostingKind(StrEnum):
    """Why a posting was made."""

    ACCRUAL = "accrual"
    SETTLEMENT = "settlement"
    """Something fell due: lots became active, or expired."""
    REVERSAL = "reversal"
    """Points of an order were taken back, since something of it was refunded."""
    PENALTY = "penalty"
    """A behaviour cost points."""
    ADJUSTMENT = "adjustment"
    """An operator gave or took points."""
    APPEAL = "appeal"
    """What an event had taken came back, since it was reversed."""


class Outcome(StrEnum):
    """What became of an event. Where several apply, the first in this order is given.

    Every consumed event has exactly one of them, kept with it in the ledger.
    """

    NO_PROGRAM_IN_FORCE = "no_program_in_force"
    """No version of the program was in force when it happened."""
    TOO_EARLY = "too_early"
    """It claims to have happened further in the future than `future_tolerance` allows."""
    TOO_LATE = "too_late"
    """It arrived later than `late_tolerance` allows, and would only give points."""
    CURRENCY_NOT_ACCEPTED = "currency_not_accepted"
    """The program does not rate this currency."""
    ORDER_ALREADY_PAID = "order_already_paid"
    """Another event has paid this order of this member before; an order earns once."""
    REFUND_ALREADY_COUNTED = "refund_already_counted"
    """Another event has told of this refund of this order before; a refund counts once."""
    WAITING_FOR_ORDER = "waiting_for_order"
    """The order that it is about was not accepted yet. When it is, this counts at once."""
    REFUND_DOES_NOT_FIT = "refund_does_not_fit"
    """The order has another currency than the refund, or not all of its lines: the refund counts nothing."""
    STREAK_NOT_LISTED = "streak_not_listed"
    """The program has no such streak."""
    STREAK_NOT_NAMED = "streak_not_named"
    """The program has several streaks, and the check-in does not say which one it is for."""
    MAKEUP_WITHOUT_GAP = "makeup_without_gap"
    """The day to make up for is not over yet, so it is not missed."""
    MAKEUP_TOO_OLD = "makeup_too_old"
    """The day to make up for lies further back than the streak allows."""
    DAY_ALREADY_CHECKED_IN = "day_already_checked_in"
    """The day counts already, by a check-in or a make-up."""
    BEHAVIOUR_NOT_LISTED = "behaviour_not_listed"
    """No rule and no task of the program knows the behaviour."""
    SELF_REFERRAL = "self_referral"
    """Members cannot invite themselves."""
    NOT_A_NEW_MEMBER = "not_a_new_member"
    """The member who is invited paid an accepted order before the invitation."""
    ALREADY_REFERRED = "already_referred"
    """Another invitation of the same member counts, which came first."""
    REFERRED = "referred"
    """The invitation counts. What it gives follows from the first order of the member who was invited."""
    CONDITION_FAILED_NOTHING_MOVED = "condition_failed_nothing_moved"
    """A condition of the program had no answer, and nothing else moved points. An order is kept."""
    TASK_STEP_OUT_OF_ORDER = "task_step_out_of_order"
    """It is a later step of a task. That is remembered, and gives its points when those before it are done."""
    LIMIT_REACHED = "limit_reached"
    """The rule has applied as often as it may in this period."""
    REFERENCE_ALREADY_COUNTED = "reference_already_counted"
    """The rule has applied to this order or subject before."""
    REFERENCE_MISSING = "reference_missing"
    """The rule applies once to each order or subject, and none is named."""
    TASK_STEP_ALREADY_DONE = "task_step_already_done"
    """The step of the task was done before."""
    TASK_TIME_OVER = "task_time_over"
    """The steps of the task that are done lie too far from this one."""
    BEHAVIOUR_OUT_OF_TIME = "behaviour_out_of_time"
    """The rule applies during another time."""
    BUDGET_EXHAUSTED = "budget_exhausted"
    """What happened is kept, but budgets had nothing left for any of its points."""
    CAPPED = "capped"
    """What happened is kept, but caps had no room for any of its points."""
    CONDITION_NOT_MET = "condition_not_met"
    """The rule for the behaviour has a condition, which does not hold."""
    MEMBER_VERSION_NOT_NEWER = "member_version_not_newer"
    """This version of the member was told before, or a newer one holds from as early on."""
    MEMBER_KNOWN = "member_known"
    """What rules may ask about the member, from when it happened on, is known."""
    EVENT_OF_ANOTHER_MEMBER = "event_of_another_member"
    """The event that an appeal is to reverse is about another member."""
    NOTHING_TO_REVERSE = "nothing_to_reverse"
    """The event that an appeal is to reverse took no points, by a penalty or an operator; or has not come."""
    ALREADY_REVERSED = "already_reversed"
    """Another appeal has reversed the event before."""
    WALLET_UNKNOWN = "wallet_unknown"
    """The program has no such wallet."""
    ENDED_ALREADY = "ended_already"
    """The points that an operator gives would have ended when they are given."""
    BALANCE_LIMIT_REACHED = "balance_limit_reached"
    """The points would take the account past `BALANCE_LIMIT`."""
    BALANCE_TOO_LOW = "balance_too_low"
    """More points were to be taken than are available."""
    NOTHING_EARNED = "nothing_earned"
    """What happened is kept, but no rule gave a point for it."""
    OVER_REFUNDED_NOTHING_TAKEN = "over_refunded_nothing_taken"
    """More was refunded than was paid. The order has no points left to take back."""
    NOTHING_TO_TAKE_BACK = "nothing_to_take_back"
    """The refund is kept, but takes no point; or nothing is left of the lot that an adjustment takes from."""
    TRIMMED = "trimmed"
    """Points moved; caps and budgets had no room for all that the rules would have given."""
    OVER_REFUNDED = "over_refunded"
    """More was refunded than was paid, which counts as all of it. Points moved."""
    CONDITION_FAILED = "condition_failed"
    """A condition of the program had no answer, and what it stands at counted as if it did not hold. Points moved."""
    POSTED = "posted"
    """Points moved."""

    @property
    def moves_points(self) -> bool:
        """Whether an event of this outcome has a posting."""
        return self in (Outcome.POSTED, Outcome.TRIMMED, Outcome.OVER_REFUNDED, Outcome.CONDITION_FAILED)


@dataclass(slots=True)
class Lot:
    """Points of one wallet that were issued together and fall due together.

    `remaining` of `issued` are still there. `activates_at` is set while the lot is pending and None from then on;
    `expires_at` None means never. `expired` points of it ended unspent, and no refund has been set against them. A
    pending one may wait for a behaviour, which makes it active; `activates_at` is then the latest instant, and perhaps
    `NEVER`.
    """

    lot_id: LotId
    wallet: Wallet
    order_id: OrderId | None
    issued: int
    remaining: int
    activates_at: Instant | None
    expires_at: Instant | None
    expired: int = 0
    waits_for: str | None = None

    @property
    def due_at(self) -> Instant | None:
        """The next instant at which something happens to it by itself; None when nothing will."""
        if self.remaining == 0:
            return None
        at = self.expires_at if self.activates_at is None else self.activates_at
        return None if at == NEVER else at


@dataclass(slots=True)
class Debt:
    """Points of a wallet that a member owes for an order, or for the penalty that the posting of a `version` was."""

    wallet: Wallet
    order_id: OrderId | None
    amount: int
    version: int | None = None


@dataclass(slots=True)
class WriteOff:
    """Points of a wallet that the posting of a version let go for an order, or without one for a referral, as far as
    nothing made them good since."""

    wallet: Wallet
    order_id: OrderId | None
    version: int
    amount: int


@dataclass(slots=True)
class Taken:
    """What the posting of a `version` took as a penalty, or for an operator: its movements to these buckets.

    `of_another` is an event about another member, of which nothing else is known here.
    """

    version: int
    movements: "tuple[Movement, ...]"
    reversed: bool = False
    of_another: bool = False


Balances = Mapping[Wallet, Mapping[Bucket, int]]
"""Points by wallet and bucket; a bucket that was never touched is missing, and is zero."""


@dataclass(slots=True)
class RatedOrder:
    """An accepted order as it was rated. Frozen: a refund takes its share of these points, whatever the rules say then.

    By line: its id, category, pieces, minor units paid, base in minor units, and the points of each rule that gave
    some. What limits and caps took does not show in these; `trimmed` says how many it was. `counted` has the
    bases that a threshold counted, where its filter left lines out. `lots` are those that its points were issued into.
    `circumstances` are what else its program asked about; None where it asked for nothing.
    """

    order_id: OrderId
    member_id: MemberId
    occurred_at: Instant
    currency: str
    paid: int
    program_version: ProgramVersion
    line_ids: Sequence[LineId]
    categories: Sequence[str | None]
    quantities: Sequence[int]
    paid_by_line: Sequence[int]
    bases: Sequence[int]
    points: Mapping[RuleId, Sequence[int]]
    trimmed: Mapping[RuleId, int]
    counted: Mapping[RuleId, Sequence[int]]
    lots: tuple[LotId, ...] = ()
    circumstances: Circumstances | None = None


@dataclass(slots=True)
class KnownOrder:
    """What is known of an order: how it was rated (None: it was not accepted yet), and its refunds, oldest first."""

    rated: RatedOrder | None
    refunds: tuple[Refund, ...] = ()


@dataclass(slots=True)
class Account:
    """What is known of a member before a decision.

    `next_due_at` is the least instant at which something falls due, None when nothing will. `lots` holds the open lots
    that the decision may need: at least all that fall due by the event's arrival, and for what may take points all;
    `later_due_at` is the least due instant among those that were left out. `orders`, `tallies` and the `days` of
    streaks are those that the decision asked for, as far as anything is known of them; and so is what events `taken`
    have, and for an appeal the `write_offs` that can be made good. An account that nobody has seen has version 0.
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
    orders: Mapping[OrderId, KnownOrder] = field(default_factory=dict)
    has_orders: bool = False
    """Whether an order was accepted before."""
    tallies: Tallies = field(default_factory=dict)
    days: Mapping[RuleId, Days] = field(default_factory=dict)
    profiles: tuple[KnownProfile, ...] = ()
    """Who the member was: the versions that say it for all instants that were asked for."""
    taken: Mapping[EventKey, Taken] = field(default_factory=dict)
    write_offs: tuple[WriteOff, ...] = ()
    referral: Referral | None = None
    """Who invited the member, where it was asked for."""


AccountOf = Callable[[MemberId], Account]
"""Gives the account of a member."""


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
    """What one event, or one due instant, did to one account. `balances` and `next_due_at` are those after it.

    With `follows`, it is what follows from the event for a referral, beside what the event itself comes to: perhaps in
    the account of another member than the event's.
    """

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
    follows: bool = False


@dataclass(slots=True)
class Decision:
    """What an event comes to: an outcome, the account after it, its postings, and what else is to be kept: an order, a
    refund, tallies, days of a streak, who the member is, or who invited the member.

    `budgets` are the units that it uses of budgets, or gives back where they are below zero; `short` how many more a
    lease had to have, at least, for the event to get more out of it.
    Without postings the account is as it was, but for what it knows of these.
    """

    outcome: Outcome
    account: Account
    postings: tuple[Posting, ...]
    order: RatedOrder | None = None
    refund: Refund | None = None
    tallies: Tallies = field(default_factory=dict)
    days: tuple[RuleId, Days] | None = None
    member: MemberChange | None = None
    budgets: Mapping[BudgetKey, int] = field(default_factory=dict)
    short: Mapping[BudgetKey, int] = field(default_factory=dict)
    referral: Referral | None = None
