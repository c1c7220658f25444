"""Planning a batch: what its events come to, without touching the database. Pure, like the decisions it is made of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date

from shared.domain.appeal import TAKEN_TO
from shared.domain.budget import Lease
from shared.domain.decide import decide_all
from shared.domain.facts import Adjustment, Appeal, Event, EventKey, MemberChange, Refund, Sweep
from shared.domain.ids import LotId, MemberId, RuleId, Shard
from shared.domain.model import Account, Bucket, Decision, Outcome, Posting, RatedOrder, Taken
from shared.domain.program import Programs
from shared.domain.program_budgets import BudgetKey
from shared.domain.referral import Referral
from shared.domain.streak import StreakDay
from shared.domain.tally import TallyKey
from shared.ledger.batch import CONFLICTING_DUPLICATE, Batch, Consumed, DeadLetter

Key = EventKey


@dataclass(slots=True)
class State:
    """What the ledger knows, as far as a batch needs it: the members' accounts and shards, the digests of those of its
    events that were consumed before, and what it may use of budgets."""

    accounts: dict[MemberId, Account]
    shards: Mapping[MemberId, Shard]
    digests: Mapping[Key, bytes]
    leases: dict[BudgetKey, Lease] = field(default_factory=dict)


@dataclass(slots=True)
class Change:
    """An account as it was loaded and as it is after the batch."""

    shard: Shard
    before: Account
    after: Account


@dataclass(slots=True)
class KeptRefund:
    """A refund to keep: the `number`-th of its order."""

    shard: Shard
    event: Event
    refund: Refund
    number: int
    outcome: Outcome


@dataclass(slots=True)
class KeptAdjustment:
    """An adjustment or an appeal to keep: how many points it moved, and the lot that an adjustment made or had to take
    from."""

    event: Event
    fact: Adjustment | Appeal
    moved: int
    lot_id: LotId | None


@dataclass(slots=True)
class Plan:
    """What a batch writes. `budgets` are the units that it uses of budgets, or gives back where they are below zero;
    `short` is the least that each lease had to have more for an event to get more."""

    changes: Sequence[Change] = ()
    orders: list[tuple[Shard, RatedOrder]] = field(default_factory=list)
    refunds: list[KeptRefund] = field(default_factory=list)
    profiles: list[tuple[Shard, MemberChange]] = field(default_factory=list)
    tallies: dict[tuple[Shard, MemberId, TallyKey], int] = field(default_factory=dict)
    days: dict[tuple[Shard, MemberId, RuleId, date], StreakDay] = field(default_factory=dict)
    budgets: dict[BudgetKey, int] = field(default_factory=dict)
    short: dict[BudgetKey, int] = field(default_factory=dict)
    referrals: dict[tuple[Shard, MemberId], Referral] = field(default_factory=dict)
    adjustments: list[KeptAdjustment] = field(default_factory=list)
    consumed: list[tuple[Consumed, Outcome]] = field(default_factory=list)
    postings: list[tuple[Shard, Posting]] = field(default_factory=list)
    dead_letters: Sequence[DeadLetter] = ()
    duplicates: Sequence[Consumed] = ()


def plan(batch: Batch, state: State, programs: Programs) -> Plan:
    """Fold the batch's events and then its sweeps through `decide_all`. Each event counts once, as in the ledger."""
    planned = Plan()
    accounts = dict(state.accounts)
    now = State(accounts, state.shards, state.digests, dict(state.leases))
    fresh, conflicts, planned.duplicates = _dedupe(batch.events, state.digests)
    appeals = _appeals(fresh)
    for item in fresh:
        planned.consumed.append((item, _decide(item.event, planned, now, programs)))
        for member_id in appeals.get(item.event.ref.key, ()):
            if member_id != item.event.member_id:
                accounts[member_id] = _knowing_of_another(accounts[member_id], item.event.ref.key)
    for sweep in batch.sweeps:
        _decide(sweep, planned, now, programs)
    planned.changes = [
        Change(state.shards[member_id], before, after)
        for member_id, before in state.accounts.items()
        if (after := accounts[member_id]).version != before.version
    ]
    planned.dead_letters = [*batch.dead_letters, *conflicts]
    return planned


def _decide(event: Event | Sweep, planned: Plan, now: State, programs: Programs) -> Outcome:
    """Decide an event, and carry what is known `now` forward."""
    decisions = decide_all(now.accounts.__getitem__, event, programs, now.leases)
    for each in decisions:
        member_id = each.account.member_id
        now.accounts[member_id] = each.account
        shard = now.shards[member_id]
        for posting in each.postings:
            planned.postings.append((shard, posting))
        _keep_habits(each, planned, shard)
        for key, units in each.budgets.items():
            now.leases[key] = now.leases[key].after(units)
            planned.budgets[key] = planned.budgets.get(key, 0) + units
        for key, units in each.short.items():
            planned.short[key] = min(units, planned.short.get(key, units))
    decision, shard = decisions[0], now.shards[event.member_id]
    if decision.order is not None:
        planned.orders.append((shard, decision.order))
    if decision.refund is not None and isinstance(event, Event):
        number = len(decision.account.orders[decision.refund.order_id].refunds)
        planned.refunds.append(KeptRefund(shard, event, decision.refund, number, decision.outcome))
    if isinstance(event, Event) and isinstance(event.fact, Adjustment | Appeal):
        planned.adjustments.append(_kept(event, event.fact, decision))
    return decision.outcome


def _keep_habits(decision: Decision, planned: Plan, shard: Shard) -> None:
    """What is kept of a member beside the points: of several in a batch, what came last."""
    member_id = decision.account.member_id
    for key, value in decision.tallies.items():
        planned.tallies[shard, member_id, key] = value
    if decision.days is not None:
        streak, days = decision.days
        for day, each in days.items():
            planned.days[shard, member_id, streak, day] = each
    if decision.member is not None:
        planned.profiles.append((shard, decision.member))
    if decision.referral is not None:
        planned.referrals[shard, member_id] = decision.referral


def _appeals(items: Sequence[Consumed]) -> dict[Key, list[MemberId]]:
    """Who wants which events of the batch, or of before, to be reversed."""
    found: dict[Key, list[MemberId]] = {}
    for item in items:
        if isinstance(item.event.fact, Appeal):
            found.setdefault(item.event.fact.reverses, []).append(item.event.member_id)
    return found


def _knowing_of_another(account: Account, key: Key) -> Account:
    """The account, knowing that an event is about another member: as if the event had been in a batch before."""
    return replace(account, taken={**account.taken, key: Taken(0, (), of_another=True)})


def _kept(event: Event, fact: Adjustment | Appeal, decision: Decision) -> KeptAdjustment:
    moved, lot_id = 0, fact.lot_id if isinstance(fact, Adjustment) else None
    for posting in decision.postings:
        if posting.event is event.ref:
            for movement in posting.movements:
                # Movements between other buckets repay debts.
                if movement.from_bucket is Bucket.ISSUED:
                    moved, lot_id = movement.amount, movement.lot_id
                elif movement.to_bucket is Bucket.ADJUSTED or movement.from_bucket in TAKEN_TO:
                    moved += movement.amount
    return KeptAdjustment(event, fact, moved, lot_id)


def _dedupe(
    items: Sequence[Consumed], known: Mapping[Key, bytes]
) -> tuple[list[Consumed], list[DeadLetter], list[Consumed]]:
    """Split a batch into events that are new, dead letters for ids that were used for something else, and plain
    duplicates. The first use of an id stands, in the batch as in the database."""
    seen = dict(known)
    fresh: list[Consumed] = []
    conflicts: list[DeadLetter] = []
    duplicates: list[Consumed] = []
    for item in items:
        ref = item.event.ref
        first = seen.setdefault((ref.source, ref.event_id), item.digest)
        if first is item.digest:
            fresh.append(item)
        elif first == item.digest:
            duplicates.append(item)
        else:
            conflicts.append(
                DeadLetter(
                    item.message,
                    CONFLICTING_DUPLICATE,
                    "id",
                    "the same source and id were used before for an event with other content, and that one stands;"
                    " send this one under an id of its own",
                    ref.source,
                    ref.event_id,
                )
            )
    return fresh, conflicts, duplicates
