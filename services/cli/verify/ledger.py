"""The checks of the ledger against itself. They are made in SQL, a slice of the shards at a time."""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

from services.cli.verify import statements
from services.cli.verify.progress import Progress
from services.cli.verify.result import SHOWN_MAX, Check, Findings
from services.cli.verify.snapshot import CONNECTIONS, QUERY_TIMEOUT_S, Snapshot
from shared.domain.ids import Wallet
from shared.domain.model import Outcome
from shared.ledger.database import Connection, Record

SLICE_POSTINGS = 1_250_000
"""Postings that one statement looks at. What it keeps of them fits into the memory that the session gives it."""


MOVING = [outcome.value for outcome in Outcome if outcome.moves_points]
"""The outcomes of events that have a posting."""

Job = tuple[Findings, Callable[[Connection], Awaitable[None]]]


class LedgerCheck:
    """Checks the ledger behind the position `since` of each shard, as a snapshot has it."""

    def __init__(
        self, snapshot: Snapshot, installation: str, shards: int, since: int, counters: Sequence[Wallet]
    ) -> None:
        self._positions = Findings(Check.POSITIONS, "postings", installation)
        self._versions = Findings(Check.VERSIONS, "accounts", installation)
        self._balances = Findings(Check.BALANCES, "movements", installation)
        self._lots = Findings(Check.LOTS, "lots", installation)
        self._debts = Findings(Check.DEBTS, "debts", installation)
        self._events = Findings(Check.EVENTS, "events", installation)
        self._snapshot = snapshot
        self._shards = shards
        self._since = since
        self._counters = list(counters)
        self._consumed: dict[str, tuple[int, int]] = {}
        self._posted = (0, 0)

    @property
    def findings(self) -> list[Findings]:
        """What the checks found."""
        return [self._positions, self._versions, self._balances, self._lots, self._debts, self._events]

    async def run(self, progress: Progress) -> None:
        """Make all checks; the findings have what does not agree."""
        async with self._snapshot.connection() as connection:
            heads = await connection.fetchval("SELECT coalesce(sum(pos), 0)::bigint FROM shard_heads")
        jobs = self._jobs(heads)
        progress.start("ledger", len(jobs))
        waiting = deque(jobs)

        async def work() -> None:
            async with self._snapshot.connection() as connection:
                while waiting:
                    findings, job = waiting.popleft()
                    started_s = time.monotonic()
                    await job(connection)
                    findings.seconds += time.monotonic() - started_s
                    progress.advance("ledger", 1)

        async with asyncio.TaskGroup() as tasks:
            for _ in range(CONNECTIONS):
                tasks.create_task(work())
        if self._since == 0 and self._posted != self._moved():
            async with self._snapshot.connection() as connection:
                await self._find_events(connection)
            if not self._events.found:
                self._events.add("events_differ", {})

    def _moved(self) -> tuple[int, int]:
        """How many events moved points by their outcomes, and the sum of their hashes."""
        moved = [self._consumed.get(outcome, (0, 0)) for outcome in MOVING]
        return sum(events for events, _ in moved), sum(fingerprint for _, fingerprint in moved)

    def _jobs(self, postings: int) -> list[Job]:
        """The longest first, so that the connections end together."""
        slices = self._slices(postings)
        return [
            *((self._balances, self._rows(self._balances, statements.MOVEMENTS, part)) for part in slices),
            *((self._versions, self._rows(self._versions, statements.VERSIONS, part)) for part in slices),
            *((self._lots, self._rows(self._lots, statements.LOTS, part, self._counters)) for part in slices),
            *self._event_jobs(),
            (self._positions, self._check_positions),
            (self._lots, self._check_lot_bounds),
            (self._debts, self._check_debts),
            (self._balances, self._count),
        ]

    def _event_jobs(self) -> list[Job]:
        if self._since:
            jobs = (self._find_events, self._sum_posted, self._find_following)
        else:
            jobs = (self._sum_consumed, self._sum_posted, self._find_following)
        return [(self._events, job) for job in jobs]

    def _slices(self, postings: int) -> list[list[int]]:
        """The shards, dealt out to so many slices that each has few enough postings."""
        number = min(self._shards, max(CONNECTIONS, -(-postings // SLICE_POSTINGS)))
        return [list(range(first, self._shards, number)) for first in range(number)]

    def _rows(
        self, findings: Findings, statement: str, shards: list[int], *more: object
    ) -> Callable[[Connection], Awaitable[None]]:
        async def job(connection: Connection) -> None:
            await self._fetch(connection, findings, statement, shards, self._since, SHOWN_MAX, *more)

        return job

    async def _fetch(self, connection: Connection, findings: Findings, statement: str, *arguments: object) -> None:
        """Run a statement that gives a row for each of the first problems, with the number of all."""
        rows = await connection.fetch(statement, *arguments, timeout=QUERY_TIMEOUT_S)
        for row in rows:
            findings.add(row["problem"], dict(row))
        if rows:
            findings.add_unnamed(rows[0]["found"] - len(rows))

    async def _check_positions(self, connection: Connection) -> None:
        shards = list(range(self._shards))
        rows = await connection.fetch(statements.POSITIONS, shards, self._since, timeout=QUERY_TIMEOUT_S)
        self._positions.compared = sum(row["postings"] for row in rows)
        for shard in sorted(set(shards) - {row["shard"] for row in rows}):
            self._positions.add("no_head", {"shard": shard})
        for row in rows:
            await self._check_shard(connection, row)

    async def _check_shard(self, connection: Connection, row: Record) -> None:
        shard, postings = row["shard"], row["postings"]
        if row["head"] is None:
            self._positions.add("no_head", {"shard": shard})
        head = row["head"] or 0
        last = row["last"] or min(self._since, head)
        if row["head"] is not None and last > head:
            self._positions.add("beyond_head", {"shard": shard, "first": head, "last": last})
        if max(last, head) - min(self._since, head) > postings:
            gap = await connection.fetchval(
                statements.FIND_GAP, shard, self._since, max(last, head), timeout=QUERY_TIMEOUT_S
            )
            facts = {"shard": shard, "pos": gap, "head": head, "first": gap - 1, "last": gap + 1}
            self._positions.add("position_gap", facts)

    async def _sum_consumed(self, connection: Connection) -> None:
        rows = await connection.fetch(statements.EVENTS_CONSUMED, timeout=QUERY_TIMEOUT_S)
        for row in rows:
            outcome = row["outcome"]
            self._consumed[outcome] = row["events"], int(row["fingerprint"])
            self._events.compared += row["events"]
            if outcome not in set(Outcome):
                self._events.add("outcome_unknown", dict(row))

    async def _sum_posted(self, connection: Connection) -> None:
        row = await connection.fetchrow(statements.EVENTS_POSTED, self._since, timeout=QUERY_TIMEOUT_S)
        if row is not None:
            self._posted = row["events"], int(row["fingerprint"] or 0)
            if self._since:
                self._events.compared = row["events"]

    async def _check_lot_bounds(self, connection: Connection) -> None:
        await self._fetch(connection, self._lots, statements.LOT_BOUNDS, SHOWN_MAX)

    async def _check_debts(self, connection: Connection) -> None:
        await self._fetch(connection, self._debts, statements.DEBTS, SHOWN_MAX)
        await self._fetch(connection, self._debts, statements.WRITE_OFFS, SHOWN_MAX)

    async def _find_events(self, connection: Connection) -> None:
        await self._fetch(connection, self._events, statements.FIND_EVENTS, self._since, SHOWN_MAX, MOVING)

    async def _find_following(self, connection: Connection) -> None:
        await self._fetch(connection, self._events, statements.FOLLOWING, self._since, SHOWN_MAX)

    async def _count(self, connection: Connection) -> None:
        row = await connection.fetchrow(statements.COUNT_ROWS, self._since, timeout=QUERY_TIMEOUT_S)
        if row is not None:
            self._versions.compared = row["accounts"]
            self._balances.compared = row["movements"]
            self._lots.compared = row["lots"]
            self._debts.compared = row["debts"]
