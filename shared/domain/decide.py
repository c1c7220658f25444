"""`decide`: what one event comes to, for one account. Pure: the same arguments always give the same decision."""

from collections.abc import Sequence
from dataclasses import replace
from typing import assert_never

from shared.domain.accrue import rate
from shared.domain.condition import Activation
from shared.domain.entry import Entry, beyond_limit
from shared.domain.facts import Adjustment, Behaviour, CheckIn, Event, MemberChange, Order, Refund, Sweep
from shared.domain.habit import decide_behaviour, decide_check_in
from shared.domain.ids import LotId, OrderId, RuleId, Wallet
from shared.domain.model import (
    Account,
    Bucket,
    Decision,
    KnownOrder,
    Outcome,
    PostingKind,
    RatedOrder,
)
from shared.domain.program import Program, Programs, Rule, Validity
from shared.domain.reverse import claws, fits, refunded, take_available, take_back
from shared.domain.settle import settle
from shared.domain.time import Instant

UNKNOWN = KnownOrder(None)


def decide(account: Account, event: Event | Sweep, programs: Programs) -> Decision:
    """Settle the account up to the event's effective instant, then decide the event.

    A refused event still settles its account. See `Outcome` for the names and the precedence of refusals.
    """
    if isinstance(event, Sweep):
        account, settled = settle(account, event.arrived_at, programs)
        return Decision(Outcome.POSTED if settled else Outcome.NOTHING_EARNED, account, settled)
    effective_at = effective_instant(account, event.fact.occurred_at, event.arrived_at, programs)
    account, settled = settle(account, effective_at, programs)
    decision = _decide(account, event, programs, effective_at)
    if not decision.postings:
        decision.postings = settled
        return decision
    # What was issued late goes through its whole life at once.
    decision.account, whole_life = settle(decision.account, effective_at, programs)
    decision.postings = (*settled, *decision.postings, *whole_life)
    return decision


def _decide(account: Account, event: Event, programs: Programs, effective_at: Instant) -> Decision:
    """Decide an event for an account that is settled."""
    fact = event.fact
    if isinstance(fact, MemberChange):
        return _decide_member(account, fact)
    program = programs.in_force(fact.occurred_at)
    if program is None:
        return Decision(Outcome.NO_PROGRAM_IN_FORCE, account, ())
    if (untimely := _untimely(event, program)) is not None:
        return Decision(untimely, account, ())
    match fact:
        case Order():
            decision = _decide_order(account, event, fact, program, effective_at)
        case Refund():
            decision = _decide_refund(account, event, fact, programs, effective_at)
        case CheckIn():
            decision = decide_check_in(account, event, fact, program, programs, effective_at)
        case Behaviour():
            decision = decide_behaviour(account, event, fact, program, effective_at)
        case Adjustment():
            decision = _decide_adjustment(account, event, fact, program, effective_at)
        case _:
            assert_never(fact)
    return decision


def _untimely(event: Event, program: Program) -> Outcome | None:
    """Why an event is refused for its date; a refund is never too late."""
    early_us = event.fact.occurred_at - event.arrived_at
    if early_us > program.future_tolerance_us:
        return Outcome.TOO_EARLY
    if -early_us > program.late_tolerance_us and not isinstance(event.fact, Refund):
        return Outcome.TOO_LATE
    return None


def effective_instant(account: Account, at: Instant, arrived_at: Instant, programs: Programs) -> Instant:
    """When an event moves points: when it happened, but not in the future, nor before what is settled already.

    max(min(at, arrival), arrival − allowed lateness, settled to): SEMANTICS, Time.
    """
    return max(
        min(at, arrived_at),
        Instant(arrived_at - programs.allowed_lateness_us),
        account.settled_to,
    )


def _decide_order(account: Account, event: Event, order: Order, program: Program, effective_at: Instant) -> Decision:
    if order.currency != program.currency:
        return Decision(Outcome.CURRENCY_NOT_ACCEPTED, account, ())
    known = account.orders.get(order.order_id, UNKNOWN)
    if known.rated is not None:
        return Decision(Outcome.ORDER_ALREADY_PAID, account, ())
    about = Activation(order, account.profile, program.calendar) if program.conditional else None
    rated, granted = rate(order, program, account.profile, not account.has_orders, about)
    failed = about is not None and about.failed
    known = KnownOrder(rated, known.refunds)
    if not granted:
        account = _knowing(account, order.order_id, known)
        account.has_orders = True
        return Decision(
            Outcome.CONDITION_FAILED_NOTHING_MOVED if failed else Outcome.NOTHING_EARNED, account, (), rated
        )
    entry = Entry(account)
    rated.lots = _issue(entry, order, granted, program)
    if known.refunds:
        _take_back(entry, rated, (), known.refunds, program, effective_at)
    after, posting = entry.close(
        PostingKind.ACCRUAL, event.ref, order.order_id, program.version, order.occurred_at, effective_at
    )
    if beyond_limit(posting):
        return Decision(Outcome.BALANCE_LIMIT_REACHED, account, ())
    after.orders = {**after.orders, order.order_id: known}
    after.has_orders = True
    return Decision(Outcome.CONDITION_FAILED if failed else Outcome.POSTED, after, (posting,), rated)


def _issue(entry: Entry, order: Order, granted: Sequence[tuple[Rule, int]], program: Program) -> tuple[LotId, ...]:
    """Issue what the rules gave: grants of one wallet that fall due together make one lot. Returns the lots."""
    by_lot: dict[tuple[Wallet, Validity], list[tuple[RuleId | None, int]]] = {}
    paid_at = order.occurred_at
    day = program.calendar.day_of(paid_at)
    for rule, points in granted:
        grants = by_lot.setdefault((rule.wallet, program.validity(rule, paid_at, day)), [])
        grants.append((rule.rule_id, points))
    lots = [
        entry.issue(program.wallets[wallet], validity, grants, order.order_id)
        for (wallet, validity), grants in by_lot.items()
    ]
    return tuple([lot_id for lot_id in lots if lot_id is not None])


def _take_back(
    entry: Entry,
    order: RatedOrder,
    before: Sequence[Refund],
    after: Sequence[Refund],
    program: Program,
    effective_at: Instant,
) -> bool:
    """Take back what an order's refunds come to, less what it was before some of them; returns whether they are more
    than was paid. Refunds that do not fit the order count nothing."""
    now = refunded(order, [refund for refund in after if fits(refund, order)])
    was = refunded(order, [refund for refund in before if fits(refund, order)])
    taken = {rule.rule_id: points for rule, points in claws(order, was.parts, program)}
    due = [(rule, points - taken[rule.rule_id]) for rule, points in claws(order, now.parts, program)]
    take_back(entry, order, due, program, effective_at)
    return now.too_much


def _decide_refund(
    account: Account, event: Event, refund: Refund, programs: Programs, effective_at: Instant
) -> Decision:
    known = account.orders.get(refund.order_id, UNKNOWN)
    if any(other.refund_id == refund.refund_id for other in known.refunds):
        return Decision(Outcome.REFUND_ALREADY_COUNTED, account, ())
    refunds = (*known.refunds, refund)
    rated = known.rated
    knowing = _knowing(account, refund.order_id, KnownOrder(rated, refunds))
    if rated is None:
        return Decision(Outcome.WAITING_FOR_ORDER, knowing, (), refund=refund)
    if not fits(refund, rated):
        return Decision(Outcome.REFUND_DOES_NOT_FIT, knowing, (), refund=refund)
    entry = Entry(knowing)
    program = programs.version(rated.program_version)
    too_much = _take_back(entry, rated, known.refunds, refunds, program, effective_at)
    if not entry.movements:
        outcome = Outcome.OVER_REFUNDED_NOTHING_TAKEN if too_much else Outcome.NOTHING_TO_TAKE_BACK
        return Decision(outcome, knowing, (), refund=refund)
    after, posting = entry.close(
        PostingKind.REVERSAL, event.ref, rated.order_id, program.version, refund.occurred_at, effective_at
    )
    return Decision(Outcome.OVER_REFUNDED if too_much else Outcome.POSTED, after, (posting,), refund=refund)


def _decide_member(account: Account, change: MemberChange) -> Decision:
    """Of what is known of a member, the newest version counts, in whatever order they come."""
    if change.version <= account.profile_version:
        return Decision(Outcome.MEMBER_VERSION_NOT_NEWER, account, ())
    account = replace(account, profile=change.profile, profile_version=change.version)
    return Decision(Outcome.MEMBER_KNOWN, account, (), member=change)


def _decide_adjustment(
    account: Account, event: Event, adjustment: Adjustment, program: Program, effective_at: Instant
) -> Decision:
    policy = program.wallets.get(adjustment.wallet)
    if policy is None:
        return Decision(Outcome.WALLET_UNKNOWN, account, ())
    entry = Entry(account)
    if adjustment.points > 0:
        validity = program.from_day(policy, program.calendar.day_of(adjustment.occurred_at))
        entry.issue(policy, validity, [(None, adjustment.points)], None)
    elif entry.available(policy.wallet) < -adjustment.points:
        return Decision(Outcome.BALANCE_TOO_LOW, account, ())
    else:
        take_available(entry, policy, -adjustment.points, Bucket.ADJUSTED, None, None)
    after, posting = entry.close(
        PostingKind.ADJUSTMENT, event.ref, None, program.version, adjustment.occurred_at, effective_at
    )
    if beyond_limit(posting):
        return Decision(Outcome.BALANCE_LIMIT_REACHED, account, ())
    return Decision(Outcome.POSTED, after, (posting,))


def _knowing(account: Account, order_id: OrderId, known: KnownOrder) -> Account:
    """The account, knowing what became of an order."""
    return replace(account, orders={**account.orders, order_id: known})
