"""`post`: the one way into the ledger, for every worker. One batch is one transaction."""

from collections.abc import Sequence

import asyncpg
import structlog

from shared.domain.facts import Event, Sweep
from shared.domain.program import Programs
from shared.ledger import appeals, habits, statements, write
from shared.ledger.batch import DEAD_LETTER, DUPLICATE, Batch, Consumed, FencedError, LetterLimits, Posted
from shared.ledger.budgets import Held, Reach, ShortOfBudgetError, write_leases
from shared.ledger.database import Connection, Pool, writing
from shared.ledger.dead_letters import check_limits, write_dead_letters
from shared.ledger.plan import Key, Plan, State, plan
from shared.ledger.programs import StaleProgramsError, check_programs, load_programs
from shared.ledger.referrals import ReferralChangedError, write_referrals
from shared.ledger.sharding import shard_of
from shared.ledger.state import MemberSeenError, lock_accounts

ATTEMPTS_MAX = 5
"""Two workers that meet on a new member or on the same event make one of them try again; more often is a fault."""

log = structlog.get_logger()

_RACES = (asyncpg.UniqueViolationError, asyncpg.DeadlockDetectedError, asyncpg.SerializationError)


async def post(pool: Pool, batch: Batch, programs: Programs, shards: int) -> Posted:
    """Decide a batch and post it in one transaction: everything of it, or nothing.

    Raises `StaleProgramsError` when there is a version of the program besides `programs`, `FencedError` when a
    partition of the batch has another owner by now, `TooManyDeadLettersError` when it would get too many of them, and
    connection errors as they are: whether the commit came through is then unknown, and reading on from the stored
    offsets settles it.
    """
    races, reach = 0, Reach.OWN_LEASE
    while True:
        try:
            async with writing(pool) as connection:
                # Who has lost a race for a new member has the shards of such members alone, and loses no other.
                return await _post(connection, batch, programs, shards, reach, alone=races > 0)
        except ShortOfBudgetError as short:
            reach = short.reach
        except (MemberSeenError, ReferralChangedError):
            continue  # Somebody else's batch came first. That may be so often where many tell of the same members.
        except _RACES:
            races += 1
            if races == ATTEMPTS_MAX:
                raise


class Poster:
    """Posts for a worker, by all versions of the program: one that was registered meanwhile is learned first."""

    def __init__(self, pool: Pool, programs: Programs, shards: int) -> None:
        self.programs = programs
        self._pool = pool
        self._shards = shards

    async def post(self, batch: Batch) -> Posted:
        """`post`, but for `StaleProgramsError`."""
        while True:
            try:
                return await post(self._pool, batch, self.programs, self._shards)
            except StaleProgramsError:
                await self._learn()

    async def rehearse(self, batch: Batch) -> Plan:
        """What posting a batch would write now. Nothing is written."""
        while True:
            try:
                async with writing(self._pool) as connection:
                    await check_programs(connection, self.programs)
                    planned, _ = await _plan(connection, batch, self.programs, self._shards, Reach.OWN_LEASE)
                    return planned
            except (MemberSeenError, ReferralChangedError):
                continue  # as in `post`
            except StaleProgramsError:
                await self._learn()

    async def _learn(self) -> None:
        self.programs = await load_programs(self._pool)
        log.info("another version of the program is known now", versions=len(self.programs))


async def _post(
    connection: Connection, batch: Batch, programs: Programs, shards: int, reach: Reach, *, alone: bool
) -> Posted:
    await check_programs(connection, programs)
    await _advance_offsets(connection, batch)
    planned, held = await _plan(connection, batch, programs, shards, reach, alone=alone)
    held.check(planned.short)
    await _write(connection, planned, held, batch.limits, shards)
    return _counted(planned)


async def _plan(
    connection: Connection, batch: Batch, programs: Programs, shards: int, reach: Reach, *, alone: bool = False
) -> tuple[Plan, Held]:
    """What a batch comes to, with the rows locked that it changes, and the leases that it has."""
    events: list[Event | Sweep] = [*[item.event for item in batch.events], *batch.sweeps]
    accounts, shard_by_member, held = await lock_accounts(connection, events, shards, programs, reach, alone=alone)
    digests = await _find_consumed(connection, batch.events, shards)
    return plan(batch, State(accounts, shard_by_member, digests, held.leases), programs), held


def _counted(planned: Plan) -> Posted:
    posted = Posted(
        duplicates=len(planned.duplicates), dead_letters=len(planned.dead_letters), postings=len(planned.postings)
    )
    posted.outcomes.update([outcome for _, outcome in planned.consumed])
    posted.events.update([(item.message.topic, outcome.value) for item, outcome in planned.consumed])
    posted.events.update([(item.message.topic, DUPLICATE) for item in planned.duplicates])
    posted.events.update([(letter.message.topic, DEAD_LETTER) for letter in planned.dead_letters])
    posted.defects.update([(letter.message.topic, letter.defect) for letter in planned.dead_letters])
    posted.kinds.update([posting.kind for _, posting in planned.postings])
    return posted


async def _write(connection: Connection, planned: Plan, held: Held, limits: LetterLimits | None, shards: int) -> None:
    """The journal comes last: its positions are taken under locks that end with the transaction."""
    await write.write_accounts(connection, planned.changes)
    await appeals.write_write_offs(connection, planned.changes)
    await write.write_orders(connection, planned.orders)
    await write.write_refunds(connection, planned.refunds)
    await habits.write_profiles(connection, planned.profiles)
    await habits.write_tallies(connection, planned.tallies)
    await habits.write_streak_days(connection, planned.days)
    await write_leases(connection, held, planned.budgets)
    await write_referrals(connection, planned.referrals)
    await write.write_adjustments(connection, planned.adjustments, shards)
    await appeals.write_reversed(connection, planned.adjustments, shards)
    await write_dead_letters(connection, planned.dead_letters)
    await check_limits(connection, planned.dead_letters, limits)
    await write.write_consumed(connection, planned.consumed, shards)
    await write.write_journal(connection, planned.postings)


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
        kept = {(row["topic"], row["partition"]) for row in moved}
        lost = [f"{item.topic}/{item.partition}" for item in batch.progress if (item.topic, item.partition) not in kept]
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
