"""Habits: check-ins and behaviours are judged by the program, held against caps and budgets, and what they come to is
posted."""

from collections.abc import Sequence
from dataclasses import replace
from typing import assert_never

from shared.domain import behaviour as behaviours
from shared.domain import check_in as check_ins
from shared.domain.allowance import Allowance
from shared.domain.budget import Leases
from shared.domain.entry import Entry, beyond_limit
from shared.domain.facts import Behaviour, CheckIn, Event
from shared.domain.ids import OrderId, RuleId, Wallet
from shared.domain.member import profile_at
from shared.domain.model import Account, Bucket, Decision, Lot, Outcome, PostingKind
from shared.domain.program import Program, Programs, Validity
from shared.domain.program_behaviours import Floor
from shared.domain.reverse import take_available
from shared.domain.room import without
from shared.domain.settle import is_kept
from shared.domain.tally import Tallies, told_before
from shared.domain.time import Instant
from shared.domain.verdict import Grant, Penalty, Verdict

_FAILED = Outcome.CONDITION_FAILED_NOTHING_MOVED


def decide_check_in(
    account: Account,
    event: Event,
    check_in: CheckIn,
    program: Program,
    programs: Programs,
    leases: Leases,
    effective_at: Instant,
) -> Decision:
    """A check-in adds a day to a streak; `check_ins.needs` says which days the account must know."""
    need = check_ins.needs(check_in, program, event.arrived_at)
    known = {} if need is None else account.days.get(need.streak, {})
    verdict = check_ins.judge(check_in, program, programs, known)
    decision = _post(account, event, verdict, program, leases, effective_at)
    if need is None or not verdict.days or decision.outcome is Outcome.BALANCE_LIMIT_REACHED:
        return decision
    days = {**account.days, need.streak: {**known, **verdict.days}}
    decision.account = replace(decision.account, days=days)
    decision.days = (need.streak, verdict.days)
    return decision


def decide_behaviour(
    account: Account,
    event: Event,
    behaviour: Behaviour,
    program: Program,
    programs: Programs,
    leases: Leases,
    effective_at: Instant,
) -> Decision:
    """A behaviour gives or takes points, and makes those active that waited for it; `behaviours.needs` says which
    tallies the account must know. One that is awaited and comes before its order is remembered for it. One that comes
    too late gives nothing."""
    late = program.is_late(behaviour.occurred_at, event.arrived_at)
    profile = profile_at(account.profiles, behaviour.occurred_at)
    verdict = behaviours.judge(behaviour, program, account.tallies, profile, late=late)
    decision = _post(account, event, verdict, program, leases, effective_at, _awaiting(account, behaviour))
    tallies: Tallies = {**decision.tallies, **verdict.tallies}
    order_id = behaviour.order_id
    if order_id is not None and behaviour.name in programs.awaited:
        paid = _is_paid(account, order_id)
        if not paid:
            tallies = {**tallies, told_before(behaviour.name, order_id): 1}
        if decision.outcome is Outcome.BEHAVIOUR_NOT_LISTED:
            decision.outcome = Outcome.NOTHING_EARNED if paid else Outcome.WAITING_FOR_ORDER
    if not tallies or decision.outcome is Outcome.BALANCE_LIMIT_REACHED:
        return decision
    decision.account = replace(decision.account, tallies={**account.tallies, **tallies})
    decision.tallies = tallies
    return decision


def _is_paid(account: Account, order_id: OrderId) -> bool:
    known = account.orders.get(order_id)
    return known is not None and known.rated is not None


def _awaiting(account: Account, behaviour: Behaviour) -> list[Lot]:
    """The lots of the behaviour's order whose points wait for it."""
    lots = [lot for _, lot in sorted(account.lots.items()) if lot.waits_for == behaviour.name]
    return [
        lot for lot in lots if lot.order_id == behaviour.order_id and lot.activates_at is not None and lot.remaining
    ]


def _post(
    account: Account,
    event: Event,
    verdict: Verdict,
    program: Program,
    leases: Leases,
    effective_at: Instant,
    awaiting: Sequence[Lot] = (),
) -> Decision:
    """Post what a verdict gives and takes, and what becomes active. What is to be kept of it is the caller's, but for
    what caps count."""
    if verdict.reason is not None and not awaiting:
        return Decision(_FAILED if verdict.failed else Outcome(verdict.reason.value), account, ())
    allowance = Allowance(program, event.fact.occurred_at, account.tallies, leases)
    grants = _within(allowance, verdict.grants)
    entry = Entry(account)
    _activate(entry, awaiting, program, effective_at)
    _give(entry, grants, program)
    for penalty in verdict.penalties:
        _take(entry, penalty, program)
    short = allowance.short
    if not entry.movements:
        nothing = allowance.refusal if verdict.grants else Outcome.NOTHING_EARNED
        return Decision(_FAILED if verdict.failed else nothing, account, (), short=short)
    order_id = awaiting[0].order_id if awaiting else None
    occurred_at = event.fact.occurred_at
    after, posting = entry.close(
        _kind(grants, verdict), event.ref, order_id, program.version, occurred_at, effective_at
    )
    if beyond_limit(posting):
        return Decision(Outcome.BALANCE_LIMIT_REACHED, account, (), short=short)
    given = Outcome.POSTED if grants == verdict.grants else Outcome.TRIMMED
    outcome = Outcome.CONDITION_FAILED if verdict.failed else given
    if allowance.tallies:
        after.tallies = {**after.tallies, **allowance.tallies}
    return Decision(outcome, after, (posting,), tallies=allowance.tallies, budgets=allowance.used, short=short)


def _within(allowance: Allowance, grants: list[Grant]) -> list[Grant]:
    """What is given within an allowance: of a rule's grants, the last one loses first."""
    points: dict[RuleId, int] = {}
    for grant in grants:
        points[grant.rule_id] = points.get(grant.rule_id, 0) + grant.points
    lost = allowance.cut(points)
    if not lost:
        return grants
    given: list[Grant] = []
    for rule_id in points:
        parts = [(grant, grant.points) for grant in grants if grant.rule_id == rule_id]
        given += [grant._replace(points=amount) for grant, amount in without(parts, lost.get(rule_id, 0))]
    return given


def _kind(grants: list[Grant], verdict: Verdict) -> PostingKind:
    if grants:
        return PostingKind.ACCRUAL
    return PostingKind.PENALTY if verdict.penalties else PostingKind.SETTLEMENT


def _activate(entry: Entry, lots: Sequence[Lot], program: Program, effective_at: Instant) -> None:
    """Points that waited for a behaviour become active, and are good from that day on."""
    day = program.calendar.day_of(effective_at)
    for lot in lots:
        policy = program.wallets.get(lot.wallet)
        expires_at = lot.expires_at if policy is None else program.from_day(policy, day).expires_at
        entry.activate(lot, expires_at, kept=is_kept(lot.wallet, expires_at, program))


def _give(entry: Entry, grants: list[Grant], program: Program) -> None:
    """Issue points: those of one wallet that fall due together make one lot."""
    by_lot: dict[tuple[Wallet, Validity], list[tuple[RuleId | None, int]]] = {}
    for grant in grants:
        validity = program.from_day(program.wallets[grant.wallet], grant.day)
        by_lot.setdefault((grant.wallet, validity), []).append((grant.rule_id, grant.points))
    for (wallet, validity), given in by_lot.items():
        entry.issue(program.wallets[wallet], validity, given, None)


def _take(entry: Entry, penalty: Penalty, program: Program) -> None:
    """Take what is there, in burn order; what is missing is owed, or forgone."""
    policy = program.wallets[penalty.wallet]
    missing = take_available(entry, policy, penalty.points, Bucket.PENALTY, penalty.rule_id, None)
    match penalty.floor:
        case Floor.ZERO:
            pass
        case Floor.DEBT:
            if missing:
                entry.owe(penalty.wallet, None, missing)
                entry.move(penalty.wallet, Bucket.DEBT, Bucket.PENALTY, missing, penalty.rule_id, None)
        case _:
            assert_never(penalty.floor)
