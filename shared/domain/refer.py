"""What follows from an event for a referral: both sides get their rewards, or lose them.

Who invited a member, and which order is the first, are the least of all that are known, so it does not matter in which
order they come. Then what is due is compared with what is given, and the difference is posted (docs/adr/0018).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from shared.domain import budget
from shared.domain.allowance import Allowance
from shared.domain.budget import Lease, Leases
from shared.domain.entry import Entry, beyond_limit
from shared.domain.facts import Behaviour, Event, Fact, Order, Refund
from shared.domain.ids import MemberId, OrderId
from shared.domain.model import Account, AccountOf, Decision, KnownOrder, Outcome, Posting, PostingKind
from shared.domain.program import Program, Programs
from shared.domain.program_budgets import BudgetKey
from shared.domain.referral import FirstOrder, Given, Referral, ReferralRule, Reward
from shared.domain.reverse import ALL, Claw, fits, refunded, remaining, take_back
from shared.domain.settle import effective_instant, settle
from shared.domain.tally import Tallies, TallyKey
from shared.domain.time import Instant

_ORDER = list(Outcome)

_NOT_DECIDED = (
    Outcome.NO_PROGRAM_IN_FORCE,
    Outcome.TOO_EARLY,
    Outcome.BALANCE_LIMIT_REACHED,
)
"""Outcomes of behaviours that tell of nothing."""


def follow(
    account_of: AccountOf, event: Event, decision: Decision, programs: Programs, leases: Leases
) -> tuple[Decision, ...]:
    """What follows from an event that was decided for its own member: a decision for each account that changes, perhaps
    the same one again. `leases` are those before the event.

    An invitation tells its outcome to the event's `decision`, where that has none that comes first.
    """
    fact = event.fact
    if isinstance(fact, Behaviour):
        invited, referral = _invite(account_of, fact, event.arrived_at, decision, programs)
    else:
        invited, referral = decision.account, _told(fact, decision)
    if invited is None or referral is None:
        return ()
    inviter = decision.account if referral.inviter == event.member_id else account_of(referral.inviter)
    program = programs.version(referral.program_version)
    left = budget.after(leases, decision.budgets)
    cause = _Cause(event, program.referral(referral.rule_id), program, programs, left)
    return _square(cause, referral, _Side(invited, cause), _Side(inviter, cause))


def _told(fact: Fact, decision: Decision) -> Referral | None:
    """A member's referral with what an event told of the first order; None where it told nothing."""
    referral = decision.account.referral
    if referral is None:
        return None
    if isinstance(fact, Order) and decision.order is not None:
        now = referral.with_order(FirstOrder(fact.occurred_at, fact.order_id))
        return None if now is referral else now
    if isinstance(fact, Refund) and decision.refund is not None:
        first = referral.first_order
        return referral if first is not None and first.order_id == fact.order_id else None
    return None


def first_order(account: Account) -> FirstOrder | None:
    """A member's first order, out of those that the account knows."""
    paid = [known.rated for known in account.orders.values() if known.rated is not None]
    return min((FirstOrder(rated.occurred_at, rated.order_id) for rated in paid), default=None)


def _invite(
    account_of: AccountOf, behaviour: Behaviour, arrived_at: Instant, decision: Decision, programs: Programs
) -> tuple[Account | None, Referral | None]:
    """What a behaviour comes to as an invitation, and the account of whom it invites; nothing where it is none, or does
    not count. The subject of another behaviour need not be a member: nobody has its account.

    Its outcome is told to the behaviour's own decision, unless that moved points or comes first among outcomes.
    """
    program = programs.in_force(behaviour.occurred_at)
    rule = None if program is None else program.referral_for(behaviour.name, behaviour.occurred_at)
    if program is None or rule is None or decision.outcome in _NOT_DECIDED:
        return None, None
    if program.is_late(behaviour.occurred_at, arrived_at):  # what it takes counts all the same
        return None, None
    subject = behaviour.subject
    invited = account_of(MemberId(subject)) if subject not in (None, behaviour.member_id) else None
    outcome, referral = _judge(invited, behaviour, rule, program)
    own = decision.outcome
    if own is Outcome.BEHAVIOUR_NOT_LISTED or not (own.moves_points or _ORDER.index(own) < _ORDER.index(outcome)):
        decision.outcome = outcome
    return invited, referral


def _judge(
    invited: Account | None, behaviour: Behaviour, rule: ReferralRule, program: Program
) -> tuple[Outcome, Referral | None]:
    """Whether an invitation counts: the earliest of a member does. While something is given for one, no other takes its
    place that promised anything else, or to somebody else."""
    at, inviter = behaviour.occurred_at, behaviour.member_id
    if not rule.applies_at(at):
        return Outcome.BEHAVIOUR_OUT_OF_TIME, None
    if invited is None:
        return Outcome.REFERENCE_MISSING if behaviour.subject is None else Outcome.SELF_REFERRAL, None
    known = invited.referral
    first = first_order(invited) if known is None else known.first_order
    if first is not None and first.paid_at < at:
        return Outcome.NOT_A_NEW_MEMBER, None
    referral = Referral(inviter, at, rule.rule_id, program.version, first)
    if known is None:
        return Outcome.REFERRED, referral
    again = known.promise == referral.promise
    if (known.invited_at, known.inviter) <= (at, inviter) or not (again or known.counted_for is None):
        return Outcome.ALREADY_REFERRED, None
    return Outcome.REFERRED, replace(known, invited_at=at) if again else referral


@dataclass(frozen=True, slots=True)
class _Cause:
    """An event from which something follows for a referral, by which rule, and by which version of the program.
    `leases` change with what is used of them."""

    event: Event
    rule: ReferralRule
    program: Program
    programs: Programs
    leases: dict[BudgetKey, Lease]


def _square(cause: _Cause, referral: Referral, invited: "_Side", inviter: "_Side") -> tuple[Decision, ...]:
    """Make what is given for a referral what is due for it."""
    first, counted = referral.first_order, referral.counted_for
    due = first is not None and referral.is_in_time and _remains(cause.rule, invited.account.orders[first.order_id])
    if counted is None and first is not None and due:
        return _give(cause, referral, first, invited, inviter)
    if counted is not None and not due:
        return _take(cause, referral, counted, invited, inviter)
    return (invited.decision(referral=referral),)


def _remains(rule: ReferralRule, order: KnownOrder) -> bool:
    """Whether enough is left of an order after its refunds."""
    rated = order.rated
    if rated is None:
        return False
    parts = refunded(rated, [refund for refund in order.refunds if fits(refund, rated)]).parts
    if all(part == ALL for part in parts):
        return False
    left, of = remaining(rated.bases, parts)
    return rule.at_least is None or left >= rule.at_least * of


def _give(
    cause: _Cause, referral: Referral, order: FirstOrder, invited: "_Side", inviter: "_Side"
) -> tuple[Decision, ...]:
    """Give each side its reward; the inviter only where there is room for it."""
    rule = cause.rule
    to_invited = invited.give(rule.invited, order, order.order_id)
    key = rule.tally(order.paid_at, cause.program.calendar)
    count = 0 if key is None else inviter.account.tallies.get(key, 0) + 1
    if rule.times is not None and count > rule.times.at_most:
        to_inviter = None
    else:
        to_inviter = inviter.give(rule.inviter, order, None)
    tallies = {} if key is None or to_inviter is None else {key: count}
    referral = replace(referral, counted_for=order, to_invited=to_invited, to_inviter=to_inviter)
    return invited.decision(referral=referral), inviter.decision(tallies)


def _take(
    cause: _Cause, referral: Referral, order: FirstOrder, invited: "_Side", inviter: "_Side"
) -> tuple[Decision, ...]:
    """Take back what each side has. The inviter's room is free again, but for what was written off: else inviting and
    giving back could print points."""
    rule = cause.rule
    invited.take(rule.invited, referral.to_invited, order, order.order_id)
    written_off = inviter.take(rule.inviter, referral.to_inviter, order, None)
    key = rule.tally(order.paid_at, cause.program.calendar)
    tallies: dict[TallyKey, int] = {}
    if key is not None and referral.to_inviter is not None and not written_off:
        tallies[key] = max(0, inviter.account.tallies.get(key, 0) - 1)
    referral = replace(referral, counted_for=None, to_invited=None, to_inviter=None)
    return invited.decision(referral=referral), inviter.decision(tallies)


class _Side:
    """One side of a referral: its account, and what is posted to it."""

    __slots__ = ("_budgets", "_cause", "_postings", "_short", "account")

    def __init__(self, account: Account, cause: _Cause) -> None:
        self.account = account
        self._cause = cause
        self._postings: tuple[Posting, ...] = ()
        self._budgets: dict[BudgetKey, int] = {}
        self._short: Mapping[BudgetKey, int] = {}

    def give(self, reward: Reward | None, order: FirstOrder, order_id: OrderId | None) -> Given | None:
        """Give what budgets have of a reward; None where there is none to give, or no room for it in the account.
        `order_id` is that of the order where it is one of this member."""
        if reward is None:
            return None
        rule, program = self._cause.rule, self._cause.program
        allowance = Allowance(program, order.paid_at, {}, self._cause.leases)
        points = reward.points - allowance.cut({rule.rule_id: reward.points}).get(rule.rule_id, 0)
        self._short = allowance.short
        if not points:
            return None
        entry, effective_at = self._open()
        validity = program.after_order(reward.wallet, rule.pending, order.paid_at)
        grants = [(rule.rule_id, points)]
        lot_id = entry.issue(program.wallets[reward.wallet], validity, grants, order_id)
        if not self._post(PostingKind.ACCRUAL, entry, order_id, effective_at):
            return None
        self._use(allowance.used)
        return Given(lot_id, points)

    def take(self, reward: Reward | None, given: Given | None, order: FirstOrder, order_id: OrderId | None) -> int:
        """Take a reward back; returns how many points of it were written off."""
        if reward is None or given is None:
            return 0
        entry, effective_at = self._open()
        lots = () if given.lot_id is None else (given.lot_id,)
        rule_id, program = self._cause.rule.rule_id, self._cause.program
        claw = Claw(reward.wallet, given.points, rule_id, order_id, lots)
        written_off = take_back(entry, claw, program, effective_at)
        self._post(PostingKind.REVERSAL, entry, order_id, effective_at)
        self._use(budget.given_back(order.paid_at, {rule_id: given.points - written_off}, program))
        return written_off

    def decision(self, tallies: Tallies | None = None, referral: Referral | None = None) -> Decision:
        """What it comes to, with what is to be kept beside."""
        account = self.account
        if tallies:
            account = replace(account, tallies={**account.tallies, **tallies})
        if referral is not None:
            account = replace(account, referral=referral)
        outcome = Outcome.POSTED if self._postings else Outcome.NOTHING_EARNED
        return Decision(
            outcome,
            account,
            self._postings,
            tallies=tallies or {},
            referral=referral,
            budgets=self._budgets,
            short=self._short,
        )

    def _use(self, units: Mapping[BudgetKey, int]) -> None:
        """So many units of budgets are used, or given back where they are below zero."""
        self._budgets = budget.together(self._budgets, units)
        self._cause.leases.update(budget.after(self._cause.leases, units))

    def _open(self) -> tuple[Entry, Instant]:
        event, programs = self._cause.event, self._cause.programs
        effective_at = effective_instant(self.account, event.fact.occurred_at, event.arrived_at, programs)
        self.account, self._postings = settle(self.account, effective_at, programs)
        return Entry(self.account), effective_at

    def _post(self, kind: PostingKind, entry: Entry, order_id: OrderId | None, effective_at: Instant) -> bool:
        """Post an entry, with the whole life of what was issued late; False where the account cannot take it."""
        event = self._cause.event
        after, posting = entry.close(
            kind,
            event.ref,
            order_id,
            self._cause.program.version,
            event.fact.occurred_at,
            effective_at,
        )
        if beyond_limit(posting):
            return False
        posting.follows = True
        self.account, whole_life = settle(after, effective_at, self._cause.programs)
        self._postings = (*self._postings, posting, *whole_life)
        return True
