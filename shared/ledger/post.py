"""`post`: the one way into the ledger, for every worker. One batch is one transaction."""

from collections.abc import Sequence

import asyncpg

from shared.domain.decide import decide
from shared.domain.ids import EventId, EventSource, MemberId, Shard
from shared.domain.model import Event, Outcome, Posting, RatedOrder
from shared.domain.program import Programs
from shared.ledger import statements, write
from shared.ledger.batch import Batch, Consumed, DeadLetter, FencedError, Posted
from shared.ledger.database import Connection, Pool
from shared.ledger.sharding import shard_of
from shared.ledger.state import Accounts, lock_accounts

ATTEMPTS_MAX = 5
"""Two workers that meet on a new member or on the same event make one of them try again; more often is a fault."""

CONFLICTING_DUPLICATE = "conflicting_duplicate"

_RACES = (asyncpg.UniqueViolationError, asyncpg.DeadlockDetectedError, asyncpg.SerializationError)

Key = tuple[EventSource, EventId]


async def post(pool: Pool, batch: Batch, programs: Programs, shards: int) -> Posted:
    """Decide a batch and post it in one transaction: everything of it, or nothing.

    Raises `FencedError` when a partition of the batch has another owner by now, and connection errors as they are:
    whether the commit came through is then unknown, and reading on from the stored offsets settles it.
    """
    for attempt in range(1, ATTEMPTS_MAX + 1):
        async with pool.acquire() as connection:
            try:
                async with connection.transaction():
                    return await _post(connection, batch, programs, shards)
            except _RACES:
                if attempt == ATTEMPTS_MAX:
                    raise
    raise AssertionError("the last attempt returns or raises")  # pragma: no cover


async def _post(connection: Connection, batch: Batch, programs: Programs, shards: int) -> Posted:
    await _advance_offsets(connection, batch)
    events: list[Event] = [*(item.event for item in batch.events), *batch.sweeps]
    accounts, shard_by_member = await lock_accounts(connection, events, shards)
    known = await _find_consumed(connection, batch.events, shards)
    fresh, conflicts, duplicates = _dedupe(batch.events, known)
    before = dict(accounts)
    postings: list[tuple[Shard, Posting]] = []
    orders: list[tuple[Shard, RatedOrder]] = []
    outcomes: list[Outcome] = []
    to_decide: list[Event] = [*(item.event for item in fresh), *batch.sweeps]
    for event in to_decide:
        member_id = event.member_id
        decision = decide(accounts[member_id], event, programs)
        accounts[member_id] = decision.account
        shard = shard_by_member[member_id]
        outcomes.append(decision.outcome)
        postings.extend([(shard, posting) for posting in decision.postings])
        if decision.order is not None:
            orders.append((shard, decision.order))
    await write.write_accounts(connection, _changes(before, accounts, shard_by_member))
    await write.write_orders(connection, orders)
    letters = [*batch.dead_letters, *conflicts]
    await write.write_dead_letters(connection, letters)
    await write.write_consumed(connection, zip(fresh, outcomes, strict=False), shards)
    await write.write_journal(connection, postings)
    posted = Posted(duplicates=duplicates, dead_letters=len(letters), postings=len(postings))
    posted.outcomes.update(outcomes[: len(fresh)])
    return posted


async def _advance_offsets(connection: Connection, batch: Batch) -> None:
    """Move the offsets on first: it takes the partitions' rows, and a fenced worker stops before it reads anything."""
    if not batch.progress:
        return
    moved = await connection.fetch(
        statements.ADVANCE_OFFSETS,
        batch.group,
        [progress.topic for progress in batch.progress],
        [progress.partition for progress in batch.progress],
        [progress.next_offset for progress in batch.progress],
        [progress.generation for progress in batch.progress],
        [progress.arrived_at for progress in batch.progress],
    )
    if len(moved) != len(batch.progress):
        kept = {row["partition"] for row in moved}
        lost = [f"{item.topic}/{item.partition}" for item in batch.progress if item.partition not in kept]
        raise FencedError(f"another worker owns {', '.join(lost)} by now")


async def _find_consumed(connection: Connection, items: Sequence[Consumed], shards: int) -> dict[Key, bytes]:
    if not items:
        return {}
    refs = [item.event.ref for item in items]
    rows = await connection.fetch(
        statements.FIND_CONSUMED,
        [shard_of(ref.event_id, shards) for ref in refs],
        [ref.source for ref in refs],
        [ref.event_id for ref in refs],
    )
    return {(row["source"], row["event_id"]): row["digest"] for row in rows}


def _dedupe(items: Sequence[Consumed], known: dict[Key, bytes]) -> tuple[list[Consumed], list[DeadLetter], int]:
    """Split a batch into events that are new, dead letters for ids that were used for something else, and a count of
    plain duplicates. The first use of an id stands, in the batch as in the database."""
    seen = dict(known)
    fresh: list[Consumed] = []
    conflicts: list[DeadLetter] = []
    duplicates = 0
    for item in items:
        ref = item.event.ref
        first = seen.setdefault((ref.source, ref.event_id), item.digest)
        if first is item.digest:
            fresh.append(item)
        elif first == item.digest:
            duplicates += 1
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


def _changes(before: Accounts, after: Accounts, shard_by_member: dict[MemberId, Shard]) -> list[write.Change]:
    """The accounts in which something was posted."""
    return [
        write.Change(shard_by_member[member_id], account, after[member_id])
        for member_id, account in before.items()
        if after[member_id].version != account.version
    ]
