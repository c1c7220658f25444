"""`decide`: what one event comes to, for one account. Pure: the same arguments always give the same decision."""

from dataclasses import replace
from typing import assert_never

from shared.domain.accrue import rate
from shared.domain.ids import LotId, OrderId, Wallet
from shared.domain.model import (
    BALANCE_LIMIT,
    Account,
    Bucket,
    Decision,
    Event,
    Lot,
    Movement,
    OrderPaid,
    Outcome,
    Posting,
    PostingKind,
    Sweep,
)
from shared.domain.program import Program, Programs, Rule, Validity
from shared.domain.settle import earlier, moved, repay, settle
from shared.domain.time import Instant

# Looking a member up in its enum costs more than all else that is done with it here.
ISSUED, PENDING, AVAILABLE = Bucket.ISSUED, Bucket.PENDING, Bucket.AVAILABLE

NO_DUE = Validity(None, None)
"""Points that are there at once and for ever."""


def decide(account: Account, event: Event, programs: Programs) -> Decision:
    """Settle the account up to the event's effective instant, then decide the event.

    A refused event still settles its account. See `Outcome` for the names and the precedence of refusals.
    """
    match event:
        case OrderPaid():
            return _decide_order(account, event, programs)
        case Sweep():
            account, postings = settle(account, event.arrived_at, programs)
            return Decision(Outcome.POSTED if postings else Outcome.NOTHING_EARNED, account, postings, None)
        case _:
            assert_never(event)


def effective_instant(account: Account, at: Instant, arrived_at: Instant, programs: Programs) -> Instant:
    """When an event moves points: when it happened, but not in the future, nor before what is settled already.

    max(min(at, arrival), arrival − allowed lateness, settled to): SEMANTICS, Time.
    """
    return max(
        min(at, arrived_at),
        Instant(arrived_at - programs.allowed_lateness_us),
        account.settled_to,
    )


def _decide_order(account: Account, event: OrderPaid, programs: Programs) -> Decision:
    order = event.order
    effective_at = effective_instant(account, order.occurred_at, event.arrived_at, programs)
    account, settled = settle(account, effective_at, programs)
    program = programs.in_force(order.occurred_at)
    refusal = _refusal(account, event, program)
    if refusal is not None or program is None:
        return Decision(refusal or Outcome.NO_PROGRAM_IN_FORCE, account, settled, None)
    rated, granted = rate(order, program)
    if not granted:
        return Decision(Outcome.NOTHING_EARNED, _with_order(account, order.order_id), settled, rated)
    accrued, accrual = _accrue(account, event, granted, program, effective_at)
    for buckets in accrual.balances.values():
        if -buckets.get(ISSUED, 0) > BALANCE_LIMIT:
            return Decision(Outcome.BALANCE_LIMIT_REACHED, account, settled, None)
    account, whole_life = settle(accrued, effective_at, programs)
    return Decision(Outcome.POSTED, account, (*settled, accrual, *whole_life), rated)


def _refusal(account: Account, event: OrderPaid, program: Program | None) -> Outcome | None:
    order = event.order
    if program is None:
        return Outcome.NO_PROGRAM_IN_FORCE
    if order.occurred_at - event.arrived_at > program.future_tolerance_us:
        return Outcome.TOO_EARLY
    if event.arrived_at - order.occurred_at > program.late_tolerance_us:
        return Outcome.TOO_LATE
    if order.currency != program.currency:
        return Outcome.CURRENCY_NOT_ACCEPTED
    if order.order_id in account.orders:
        return Outcome.ORDER_ALREADY_PAID
    return None


def _with_order(account: Account, order_id: OrderId) -> Account:
    return replace(account, orders=account.orders | {order_id})


def _by_lot(
    granted: list[tuple[Rule, int]], program: Program, paid_at: Instant
) -> dict[tuple[Wallet, Validity], list[tuple[Rule, int]]]:
    grants: dict[tuple[Wallet, Validity], list[tuple[Rule, int]]] = {}
    day = program.calendar.day_of(paid_at)
    for rule, points in granted:
        grants.setdefault((rule.wallet, program.validity(rule, paid_at, day)), []).append((rule, points))
    return grants


def _accrue(
    account: Account,
    event: OrderPaid,
    granted: list[tuple[Rule, int]],
    program: Program,
    effective_at: Instant,
) -> tuple[Account, Posting]:
    """Issue what the rules gave: grants of one wallet that fall due together make one lot."""
    order = event.order
    order_id = order.order_id
    movements: list[Movement] = []
    lots = dict(account.lots)
    debts = account.debts
    lots_issued = account.lots_issued
    next_due_at = account.next_due_at
    for (wallet, validity), grants in _by_lot(granted, program, order.occurred_at).items():
        lot_id: LotId | None = None
        if program.wallets[wallet].spendable or validity != NO_DUE:
            lots_issued += 1
            lot_id = LotId(lots_issued)
        bucket = AVAILABLE if validity.activates_at is None else PENDING
        movements += [
            Movement(wallet, ISSUED, bucket, amount, rule.rule_id, lot_id, order_id) for rule, amount in grants
        ]
        left = points = sum([amount for _, amount in grants])
        if debts and bucket is AVAILABLE:
            left, debts = repay(wallet, lot_id, points, debts, movements)
        if lot_id is not None:
            lot = lots[lot_id] = Lot(lot_id, wallet, order_id, points, left, *validity)
            next_due_at = earlier(next_due_at, lot.due_at)
    balances = moved(account.balances, movements)
    after = Account(
        account.member_id,
        account.version + 1,
        effective_at,
        next_due_at,
        lots_issued,
        balances,
        lots,
        debts,
        account.later_due_at,
        account.orders | {order_id},
    )
    posting = Posting(
        account.member_id,
        after.version,
        PostingKind.ACCRUAL,
        event.ref,
        order_id,
        program.version,
        order.occurred_at,
        effective_at,
        tuple(movements),
        balances,
        next_due_at,
    )
    return after, posting
