"""What the events of a batch need to be decided. Pure; `shared.ledger.state` loads it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import assert_never

from shared.domain import behaviour, budget, cap, check_in
from shared.domain.facts import (
    Adjustment,
    Appeal,
    Behaviour,
    CheckIn,
    Event,
    EventKey,
    MemberChange,
    Order,
    Refund,
    Sweep,
)
from shared.domain.ids import MemberId, OrderId, RuleId, Shard
from shared.domain.program import Program, Programs
from shared.domain.program_budgets import BudgetKey
from shared.domain.tally import TallyKey, told_before
from shared.domain.time import Instant
from shared.ledger.referrals import Tie
from shared.ledger.sharding import shard_of

Wanted = tuple[MemberId, EventKey]
"""Whose event is to be reversed, and which one."""


@dataclass(slots=True)
class Needs:
    """What the events of a batch need: the members' shards, up to when their lots, and which orders. `takes` are the
    members from whom points may be taken, which may be out of any of their lots."""

    shards: dict[MemberId, Shard] = field(default_factory=dict)
    until: dict[MemberId, Instant] = field(default_factory=dict)
    orders: dict[tuple[MemberId, OrderId], bool] = field(default_factory=dict)
    """Whether the lines of each are needed too."""
    takes: set[MemberId] = field(default_factory=set)
    appeals: set[Wanted] = field(default_factory=set)
    """The events that the batch is to reverse."""
    alone: set[MemberId] = field(default_factory=set)
    """Of whom something is kept that another batch must not miss, though there may be no account to lock."""
    profiles: dict[MemberId, Instant] = field(default_factory=dict)
    """Of whom the batch says or asks who they are, and from which instant on."""
    tallies: set[tuple[MemberId, TallyKey]] = field(default_factory=set)
    budgets: dict[BudgetKey, int] = field(default_factory=dict)
    """Each with its size: the largest, where versions of the program differ."""
    first_days: dict[tuple[MemberId, RuleId], date] = field(default_factory=dict)
    """The first day that is needed of each streak."""
    ties: list[Tie] = field(default_factory=list)
    """What the batch tells of members who may have been invited."""


def needs_of(events: Sequence[Event | Sweep], shards: int, programs: Programs) -> Needs:
    """What deciding events takes, in an installation of so many shards."""
    needs = Needs()
    for event in events:
        member_id = event.member_id
        if member_id not in needs.shards:
            needs.shards[member_id] = shard_of(member_id, shards)
            needs.until[member_id] = event.arrived_at
        elif event.arrived_at > needs.until[member_id]:
            needs.until[member_id] = event.arrived_at
        if isinstance(event, Event):
            _add_needs(needs, event, programs)
    return needs


def _add_needs(needs: Needs, event: Event, programs: Programs) -> None:
    """What deciding an event takes beside the account itself."""
    fact = event.fact
    member_id = fact.member_id
    if not isinstance(fact, Order | Adjustment | Appeal):
        needs.alone.add(member_id)
    match fact:
        case Order():
            needs.orders.setdefault((member_id, fact.order_id), False)
            if programs.ask_who:
                _add_profile(needs, member_id, fact.occurred_at)
            program = programs.in_force(fact.occurred_at)
            if program is not None:
                add_allowance(needs, member_id, program, fact.occurred_at)
            needs.tallies.update((member_id, told_before(name, fact.order_id)) for name in programs.awaited)
        case Refund():
            needs.orders[member_id, fact.order_id] = True
            needs.takes.add(member_id)
        case Adjustment():
            needs.takes.add(member_id)
        case Appeal():
            needs.takes.add(member_id)
            needs.appeals.add((member_id, fact.reverses))
        case MemberChange():
            _add_profile(needs, member_id, fact.occurred_at)
        case CheckIn() | Behaviour():
            _add_habit_needs(needs, event, fact, programs)
        case _:
            assert_never(fact)


def _add_habit_needs(needs: Needs, event: Event, fact: CheckIn | Behaviour, programs: Programs) -> None:
    program = programs.in_force(fact.occurred_at)
    if program is None:
        return
    member_id = fact.member_id
    add_allowance(needs, member_id, program, fact.occurred_at)
    if isinstance(fact, CheckIn):
        need = check_in.needs(fact, program, event.arrived_at)
        if need is not None:
            key = member_id, need.streak
            needs.first_days[key] = min(need.first_day, needs.first_days.get(key, need.first_day))
        return
    awaited = fact.order_id is not None and fact.name in programs.awaited
    if fact.order_id is not None and awaited:
        needs.orders[member_id, fact.order_id] = True
    if awaited or behaviour.takes(fact, program):
        needs.takes.add(member_id)
    if behaviour.asks_who(fact, program):
        _add_profile(needs, member_id, fact.occurred_at)
    needs.tallies.update((member_id, key) for key in behaviour.needs(fact, program))


def _add_profile(needs: Needs, member_id: MemberId, at: Instant) -> None:
    needs.profiles[member_id] = min(at, needs.profiles.get(member_id, at))


def add_allowance(needs: Needs, member_id: MemberId, program: Program, at: Instant) -> None:
    """The tallies of caps and the budgets for what happens at an instant."""
    if program.caps:
        needs.tallies.update((member_id, key) for key in cap.needs(program, at))
    add_budgets(needs, program, at)


def add_budgets(needs: Needs, program: Program, at: Instant) -> None:
    """The budgets for what happens at an instant."""
    for key, each in budget.needs(program, at):
        needs.budgets[key] = max(each.size, needs.budgets.get(key, 0))
