"""`decide`: what one event comes to, for one account. Pure: the same arguments always give the same decision."""

from collections.abc import Sequence
from dataclasses import replace
from typing import assert_never

from shared.domain.adjust import decide_adjustment
from shared.domain.appeal import decide_appeal, remember
from shared.domain.behaviour import takes
from shared.domain.budget import NO_LEASES, Leases
from shared.domain.facts import Adjustment, Appeal, Behaviour, CheckIn, Event, Fact, MemberChange, Order, Refund, Sweep
from shared.domain.habit import decide_behaviour, decide_check_in
from shared.domain.member import KnownProfile
from shared.domain.model import Account, AccountOf, Decision, Outcome
from shared.domain.order import decide_order
from shared.domain.program import Program, Programs
from shared.domain.refer import follow
from shared.domain.refund import decide_refund
from shared.domain.settle import effective_instant, settle
from shared.domain.time import Instant


def decide(account: Account, event: Event | Sweep, programs: Programs, leases: Leases = NO_LEASES) -> Decision:
    """Settle the account up to the event's effective instant, then decide the event.

    A refused event still settles its account. See `Outcome` for the names and the precedence of refusals. `leases` say
    what may be used of budgets.
    """
    if isinstance(event, Sweep):
        account, settled = settle(account, event.arrived_at, programs)
        return Decision(Outcome.POSTED if settled else Outcome.NOTHING_EARNED, account, settled)
    effective_at = effective_instant(account, event.fact.occurred_at, event.arrived_at, programs)
    account, settled = settle(account, effective_at, programs)
    decision = _decide(account, event, programs, leases, effective_at)
    if not decision.postings:
        decision.postings = settled
        return decision
    # What was issued late goes through its whole life at once.
    decision.account, whole_life = settle(decision.account, effective_at, programs)
    decision.postings = (*settled, *decision.postings, *whole_life)
    return decision


def decide_all(
    account_of: AccountOf, event: Event | Sweep, programs: Programs, leases: Leases = NO_LEASES
) -> Sequence[Decision]:
    """What one event comes to, for all accounts that it touches, in the order in which they change.

    The first decision is that of the event's own member, and its outcome that of the event. What follows for referrals
    comes behind it, perhaps for the same account again.
    """
    decision = decide(account_of(event.member_id), event, programs, leases)
    if not programs.refer or isinstance(event, Sweep):
        return (decision,)
    return (decision, *follow(account_of, event, decision, programs, leases))


def _decide(account: Account, event: Event, programs: Programs, leases: Leases, effective_at: Instant) -> Decision:
    """Decide an event for an account that is settled."""
    fact = event.fact
    if isinstance(fact, MemberChange):
        return _decide_member(account, fact)
    program = programs.in_force(fact.occurred_at)
    if program is None:
        return Decision(Outcome.NO_PROGRAM_IN_FORCE, account, ())
    if (untimely := _untimely(event, program, programs)) is not None:
        return Decision(untimely, account, ())
    match fact:
        case Order():
            decision = decide_order(account, event, fact, program, leases, effective_at)
        case Refund():
            decision = decide_refund(account, event, fact, programs, effective_at)
        case CheckIn():
            decision = decide_check_in(account, event, fact, program, programs, leases, effective_at)
        case Behaviour():
            decision = remember(decide_behaviour(account, event, fact, program, programs, leases, effective_at))
        case Adjustment():
            decision = remember(decide_adjustment(account, event, fact, program, effective_at))
        case Appeal():
            decision = decide_appeal(account, event, fact, program, effective_at)
        case _:
            assert_never(fact)
    return decision


def _untimely(event: Event, program: Program, programs: Programs) -> Outcome | None:
    """Why an event is refused for its date."""
    at = event.fact.occurred_at
    if at - event.arrived_at > program.future_tolerance_us:
        return Outcome.TOO_EARLY
    if program.is_late(at, event.arrived_at) and not _counts_late(event.fact, program, programs):
        return Outcome.TOO_LATE
    return None


def _counts_late(fact: Fact, program: Program, programs: Programs) -> bool:
    """Whether something of an event counts however late it comes: only what gives points can be too late (SEMANTICS,
    Time). A behaviour for which points wait gives none, they were given before."""
    match fact:
        case Refund():
            return True
        case Adjustment():
            return fact.points < 0
        case Behaviour():
            return takes(fact, program) or (fact.order_id is not None and fact.name in programs.awaited)
        case Order() | CheckIn() | Appeal() | MemberChange():
            return False
        case _:
            assert_never(fact)


def _decide_member(account: Account, change: MemberChange) -> Decision:
    """A change says who the member is from when it happened on, unless a newer version says it from as early on. What
    was decided before it came stays as it is."""
    version, since = change.version, change.occurred_at
    for known in account.profiles:
        if known.version == version or (known.version > version and known.since <= since):
            return Decision(Outcome.MEMBER_VERSION_NOT_NEWER, account, ())
    account = replace(account, profiles=(*account.profiles, KnownProfile(version, since, change.profile)))
    return Decision(Outcome.MEMBER_KNOWN, account, (), member=change)
