"""Habits: check-ins and behaviours are judged by the program, and what they come to is posted."""

from dataclasses import replace
from typing import assert_never

from shared.domain import behaviour as behaviours
from shared.domain import check_in as check_ins
from shared.domain.entry import Entry, beyond_limit
from shared.domain.facts import Behaviour, CheckIn, Event
from shared.domain.ids import RuleId, Wallet
from shared.domain.model import Account, Bucket, Decision, Outcome, PostingKind
from shared.domain.program import Program, Programs, Validity
from shared.domain.program_behaviours import Floor
from shared.domain.reverse import take_available
from shared.domain.time import Instant
from shared.domain.verdict import Grant, Penalty, Verdict

_FAILED = Outcome.CONDITION_FAILED_NOTHING_MOVED


def decide_check_in(
    account: Account, event: Event, check_in: CheckIn, program: Program, programs: Programs, effective_at: Instant
) -> Decision:
    """A check-in adds a day to a streak; `check_ins.needs` says which days the account must know."""
    need = check_ins.needs(check_in, program, event.arrived_at)
    known = {} if need is None else account.days.get(need.streak, {})
    verdict = check_ins.judge(check_in, program, programs, known)
    decision = _post(account, event, verdict, program, effective_at)
    if need is None or not verdict.days or decision.outcome is Outcome.BALANCE_LIMIT_REACHED:
        return decision
    days = {**account.days, need.streak: {**known, **verdict.days}}
    decision.account = replace(decision.account, days=days)
    decision.days = (need.streak, verdict.days)
    return decision


def decide_behaviour(
    account: Account, event: Event, behaviour: Behaviour, program: Program, effective_at: Instant
) -> Decision:
    """A behaviour gives or takes points; `behaviours.needs` says which tallies the account must know."""
    verdict = behaviours.judge(behaviour, program, account.tallies, account.profile)
    decision = _post(account, event, verdict, program, effective_at)
    if not verdict.tallies or decision.outcome is Outcome.BALANCE_LIMIT_REACHED:
        return decision
    decision.account = replace(decision.account, tallies={**account.tallies, **verdict.tallies})
    decision.tallies = verdict.tallies
    return decision


def _post(account: Account, event: Event, verdict: Verdict, program: Program, effective_at: Instant) -> Decision:
    """Post what a verdict gives and takes. What is to be kept of it is the caller's."""
    if verdict.reason is not None:
        return Decision(_FAILED if verdict.failed else Outcome(verdict.reason.value), account, ())
    entry = Entry(account)
    _give(entry, verdict.grants, program)
    for penalty in verdict.penalties:
        _take(entry, penalty, program)
    if not entry.movements:
        return Decision(_FAILED if verdict.failed else Outcome.NOTHING_EARNED, account, ())
    kind = PostingKind.ACCRUAL if verdict.grants else PostingKind.PENALTY
    after, posting = entry.close(kind, event.ref, None, program.version, event.fact.occurred_at, effective_at)
    if beyond_limit(posting):
        return Decision(Outcome.BALANCE_LIMIT_REACHED, account, ())
    return Decision(Outcome.CONDITION_FAILED if verdict.failed else Outcome.POSTED, after, (posting,))


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
