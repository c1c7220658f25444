"""One moment of the ledger, seen by several connections: events may flow while it is looked at."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from shared.ledger.database import Connection, Pool

CONNECTIONS = 2
"""Statements that run at once: a verification shall not take all of a server that has work to do."""

QUERY_TIMEOUT_S = 3_600.0
"""A statement reads a whole ledger; one that takes longer than this waits for a server that is gone."""

_SESSION = """
SET LOCAL work_mem = '128MB';
SET LOCAL hash_mem_multiplier = 2;
SET LOCAL max_parallel_workers_per_gather = 0;
"""
"""Memory for a slice of the journal without spilling it to disk. The slices are what runs in parallel."""


class Snapshot:
    """The moment, and connections that see it."""

    def __init__(self, pool: Pool, name: str) -> None:
        self._pool = pool
        self._name = name

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A connection that sees the ledger as it was at the moment, and writes nothing."""
        async with (
            self._pool.acquire() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            await connection.execute(f"SET TRANSACTION SNAPSHOT '{self._name}'")
            await connection.execute(_SESSION)
            yield connection


@asynccontextmanager
async def take_snapshot(pool: Pool) -> AsyncIterator[Snapshot]:
    """The ledger as it is now, for as long as the block lasts; till then PostgreSQL cannot clean up behind writers."""
    async with pool.acquire() as first, first.transaction(isolation="repeatable_read", readonly=True):
        yield Snapshot(pool, await first.fetchval("SELECT pg_export_snapshot()"))
