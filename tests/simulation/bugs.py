"""Bugs that the simulation must find. Each is planted in the real code, one at a time, for as long as a block lasts.

Two are in what the stand-ins stand for: Redis without its version guard, and a cursor that is read uncommitted.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import services.expiry.app as expiry_app
import services.publisher.positions as positions_module
import shared.domain.decide as decide_module
import shared.ledger.appeals as appeals_module
import shared.ledger.plan as plan_module
import shared.ledger.post as post_module
import shared.ledger.state as state_module
from services.publisher.cache import CacheTail
from services.publisher.positions import dump_positions
from services.publisher.records import OutRecord
from services.publisher.share import Share
from shared.domain.budget import Lease, Leases
from shared.domain.facts import Appeal, Event, Sweep
from shared.domain.ids import RefundId, Shard
from shared.domain.model import Account, AccountOf, Decision, KnownOrder
from shared.domain.program import Programs
from shared.domain.program_budgets import BudgetKey
from shared.domain.time import Instant
from shared.ledger import write
from shared.ledger.batch import Batch, Consumed, DeadLetter, Posted
from shared.ledger.budgets import Held, Leased, Reach
from shared.ledger.plan import Change
from shared.stream.lane import Lane
from tests.simulation import redis
from tests.simulation.postgres import Pool

Bug = Callable[[], AbstractContextManager[Any]]


def offset_stored_before_the_posting() -> AbstractContextManager[Any]:
    """The offsets move on in a transaction of their own, and then the batch is posted."""
    real = post_module.post

    async def post(pool: Any, batch: Batch, programs: Programs, shards: int) -> Posted:
        async with pool.acquire() as connection, connection.transaction():
            await post_module._advance_offsets(connection, batch)
        return await real(pool, replace(batch, progress=[]), programs, shards)

    return patch.object(post_module, "post", post)


def dedupe_forgotten_inside_a_batch() -> AbstractContextManager[Any]:
    """Only what the ledger knows already is a duplicate."""

    def dedupe(
        items: Sequence[Consumed], known: Mapping[Any, bytes]
    ) -> tuple[list[Consumed], list[DeadLetter], list[Consumed]]:
        fresh = [item for item in items if (item.event.ref.source, item.event.ref.event_id) not in known]
        return fresh, [], [item for item in items if item not in fresh]

    return patch.object(plan_module, "_dedupe", dedupe)


def dedupe_against_the_ledger_forgotten() -> AbstractContextManager[Any]:
    """Only what the batch has twice is a duplicate."""

    async def find_consumed(*_: object) -> dict[Any, bytes]:
        return {}

    return patch.object(post_module, "_find_consumed", find_consumed)


def fencing_by_generation_forgotten() -> AbstractContextManager[Any]:
    """A worker moves the offsets on whoever owns the partition by now."""
    real = post_module._advance_offsets

    async def advance(connection: Any, batch: Batch) -> None:
        rows = connection._postgres.tables["consumer_offsets"]
        progress = [
            replace(item, generation=rows[batch.group, item.topic, item.partition]["generation"])
            for item in batch.progress
        ]
        await real(connection, replace(batch, progress=progress))

    return patch.object(post_module, "_advance_offsets", advance)


def positions_taken_outside_the_transaction() -> AbstractContextManager[Any]:
    """Positions come from a sequence: the head moves on at once, so the publisher reads past what is uncommitted."""
    real = write.write_journal

    class Outside:
        def __init__(self, connection: Any) -> None:
            self._connection = connection

        async def fetch(self, statement: str, *arguments: Any) -> Any:
            pool = Pool(self._connection._postgres, self._connection._handlers)
            return await pool.fetch(statement, *arguments)

        def __getattr__(self, name: str) -> Any:
            return getattr(self._connection, name)

    async def write_journal(connection: Any, postings: Any) -> None:
        await real(Outside(connection), postings)  # type: ignore[arg-type]

    return patch.object(write, "write_journal", write_journal)


def cursor_moved_before_the_transaction() -> AbstractContextManager[Any]:
    """The publisher first says how far it will have come, and then publishes."""
    real = Share._send

    async def send(share: Share, producer: Any, postings: Any, movements: Any, after: dict[Shard, int]) -> None:
        async with producer.transaction():
            await (
                await producer.send(
                    share._positions.topic,
                    key=b"%d" % share._share,
                    value=dump_positions(after),
                    partition=share._share,
                )
            )
        await real(share, producer, postings, movements, after)

    return patch.object(Share, "_send", send)


def cursor_read_uncommitted() -> AbstractContextManager[Any]:
    """A publisher goes on from a position that its predecessor never committed."""
    real = positions_module.AIOKafkaConsumer

    def consumer(**arguments: Any) -> Any:
        return real(**arguments | {"isolation_level": "read_uncommitted"})

    return patch.object(positions_module, "AIOKafkaConsumer", consumer)


def version_guard_dropped_in_redis() -> AbstractContextManager[Any]:
    """Whoever writes last stands."""
    return patch.object(redis.RedisServer, "guarded", False)


def what_redis_answers_is_ignored() -> AbstractContextManager[Any]:
    """The publisher believes that Redis is where it left it; an old snapshot goes unnoticed."""
    real = CacheTail._apply

    async def apply(tail: CacheTail, applied: dict[Shard, int], postings: Any) -> None:
        before = dict(applied)
        await real(tail, applied, postings)
        for shard, group in postings.items():
            applied[shard] = group[-1]["pos"] if group else before[shard]

    return patch.object(CacheTail, "_apply", apply)


def late_event_that_unsettles() -> AbstractContextManager[Any]:
    """A late event moves points in what is settled already."""

    def effective_instant(account: Account, at: Instant, arrived_at: Instant, programs: Programs) -> Instant:
        return max(min(at, arrived_at), Instant(arrived_at - programs.allowed_lateness_us))

    return patch.object(decide_module, "effective_instant", effective_instant)


def sweep_beyond_the_watermark() -> AbstractContextManager[Any]:
    """The expiry worker settles up to now, whatever still waits in the log."""

    async def read_watermark(_pool: Any, _log: Any, _settings: Any, now: Instant, _lateness_us: int) -> Instant:
        return now

    return patch.object(expiry_app, "read_watermark", read_watermark)


def rewind_forgotten_after_a_rebalance() -> AbstractContextManager[Any]:
    """What was read under an older claim is dropped, and not read again."""

    def rewind(_lane: Lane, _claim: object) -> None:
        return None

    return patch.object(Lane, "_rewind", rewind)


def early_refund_forgotten() -> AbstractContextManager[Any]:
    """What was given back of an order that is not paid yet is not loaded."""
    real = state_module.known_order

    def known_order(row: Any) -> KnownOrder:
        return real(row) if row["paid"] else KnownOrder(None)

    return patch.object(state_module, "known_order", known_order)


def refund_twice_in_a_batch_counted_twice() -> AbstractContextManager[Any]:
    """Which refunds are known is asked of the ledger alone: a batch forgets the ids of its own."""
    real = plan_module.decide_all

    def decide_all(account_of: AccountOf, event: Event | Sweep, programs: Programs, leases: Leases) -> list[Decision]:
        decision, *others = real(account_of, event, programs, leases)
        if decision.refund is not None:
            order_id, orders = decision.refund.order_id, decision.account.orders
            *before, last = orders[order_id].refunds
            known = replace(orders[order_id], refunds=(*before, replace(last, refund_id=RefundId(""))))
            decision.account.orders = {**orders, order_id: known}
        return [decision, *others]

    return patch.object(plan_module, "decide_all", decide_all)


def refund_and_order_of_an_unseen_member_side_by_side() -> AbstractContextManager[Any]:
    """Members that nobody has seen are not locked: a refund and its order in two partitions do not see each other."""

    async def lock_unseen(*_: object) -> tuple[Any, ...]:
        return ()

    return patch.object(state_module, "_lock_unseen", lock_unseen)


def referral_not_read_again_under_the_locks() -> AbstractContextManager[Any]:
    """Whoever was invited between the first look and the locks goes unnoticed."""

    async def check_ties(*_: object) -> None:
        return None

    return patch.object(state_module, "check_ties", check_ties)


def lease_of_another_batch_used() -> AbstractContextManager[Any]:
    """A batch takes what all leases of a budget have for its own."""

    def lease(leased: Leased, reach: Reach) -> Lease:
        return Lease(leased.own + leased.others + leased.unleased, leased.leased - leased.own - leased.others)

    return patch.object(Leased, "lease", lease)


def short_lease_taken_for_the_budget() -> AbstractContextManager[Any]:
    """Where its lease runs out, a batch takes the budget for used up."""

    def check(_held: Held, _short: object) -> None:
        return None

    return patch.object(Held, "check", check)


def budget_not_given_back() -> AbstractContextManager[Any]:
    """What a refund took back is not there again for others."""
    real = post_module.write_leases

    async def write_leases(connection: Any, held: Held, used: Mapping[BudgetKey, int]) -> None:
        await real(connection, held, {key: max(0, units) for key, units in used.items()})

    return patch.object(post_module, "write_leases", write_leases)


def cap_counted_inside_a_batch_only() -> AbstractContextManager[Any]:
    """What a member got earlier in the day is not loaded."""

    async def load_tallies(*_: object) -> None:
        return None

    return patch.object(state_module, "load_tallies", load_tallies)


def record_that_did_not_fit_lost() -> AbstractContextManager[Any]:
    """Where a batch is full, a new one is begun, and the record that found no room is not put into it."""

    async def send_records(share: Share, producer: Any, shard: Shard, records: Sequence[OutRecord]) -> list[Any]:
        sent = []
        batch = producer.create_batch()
        for key, value, timestamp_ms, headers in records:
            if batch.append(key=key, value=value, timestamp=timestamp_ms, headers=headers) is None:
                sent.append(await producer.send_batch(batch, share._topic, partition=shard))
                batch = producer.create_batch()
        sent.append(await producer.send_batch(batch, share._topic, partition=shard))
        return sent

    return patch.object(Share, "_send_records", send_records)


def reversal_not_kept() -> AbstractContextManager[Any]:
    """That an event was reversed is not written with what it gave back."""

    async def write_reversed(*_: object) -> None:
        return None

    return patch.object(appeals_module, "write_reversed", write_reversed)


@contextmanager
def taken_looked_up_before_the_locks() -> Iterator[None]:
    """What an event took, and whether that was reversed, is read before the member is locked: of two appeals side by
    side neither knows of the other."""
    real_lock, real_read = state_module.lock_accounts, state_module.read_taken
    found: dict[Any, Any] = {}

    async def lock_accounts(connection: Any, events: Any, shards: int, *others: Any, alone: bool) -> Any:
        appeals = [
            (event.member_id, event.fact.reverses)
            for event in events
            if isinstance(event, Event) and isinstance(event.fact, Appeal)
        ]
        found[connection] = await real_read(connection, appeals, shards) if appeals else {}
        return await real_lock(connection, events, shards, *others, alone=alone)

    async def read_taken(connection: Any, *_: object) -> Any:
        return found[connection]

    with (
        patch.object(post_module, "lock_accounts", lock_accounts),
        patch.object(state_module, "read_taken", read_taken),
    ):
        yield


def write_offs_not_loaded() -> AbstractContextManager[Any]:
    """An appeal knows nothing of what was written off since, and gives back more than a member without penalty has."""

    async def load_write_offs(*_: object) -> None:
        return None

    return patch.object(state_module, "load_write_offs", load_write_offs)


def write_off_made_good_twice() -> AbstractContextManager[Any]:
    """What is written off is kept, but not that it was made good."""
    real = appeals_module.write_write_offs

    async def write_write_offs(connection: Any, changes: Sequence[Change]) -> None:
        def only_new(change: Change) -> Change:
            version = change.before.version
            fresh = tuple([each for each in change.after.write_offs if each.version > version])
            return replace(change, after=replace(change.after, write_offs=fresh))

        await real(connection, [only_new(change) for change in changes])

    return patch.object(appeals_module, "write_write_offs", write_write_offs)


BUGS: tuple[Bug, ...] = (
    offset_stored_before_the_posting,
    dedupe_forgotten_inside_a_batch,
    dedupe_against_the_ledger_forgotten,
    fencing_by_generation_forgotten,
    positions_taken_outside_the_transaction,
    cursor_moved_before_the_transaction,
    cursor_read_uncommitted,
    version_guard_dropped_in_redis,
    what_redis_answers_is_ignored,
    late_event_that_unsettles,
    sweep_beyond_the_watermark,
    rewind_forgotten_after_a_rebalance,
    early_refund_forgotten,
    refund_twice_in_a_batch_counted_twice,
    refund_and_order_of_an_unseen_member_side_by_side,
    referral_not_read_again_under_the_locks,
    lease_of_another_batch_used,
    short_lease_taken_for_the_budget,
    budget_not_given_back,
    cap_counted_inside_a_batch_only,
    record_that_did_not_fit_lost,
    reversal_not_kept,
    taken_looked_up_before_the_locks,
    write_offs_not_loaded,
    write_off_made_good_twice,
)
