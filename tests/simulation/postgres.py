"""A stand-in for PostgreSQL: tables in memory, transactions that commit or not, and row locks.

It has no SQL. It knows the ledger's named statements (`tests/simulation/sql.py`), and how PostgreSQL runs them at READ
COMMITTED: a statement sees what was committed before it began and what its own transaction wrote; a written or locked
row is waited for, until its holder ends; a circle of waiters costs one of them its transaction; a key is unique.
A test holds it and the real PostgreSQL against each other.
"""

from collections.abc import AsyncIterator, Callable, Generator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from shared.domain.time import Instant
from tests.simulation.world import BLOCKED, BrokenPromiseError, Process, World, current

Key = tuple[Any, ...]
Row = dict[str, Any]
Lock = tuple[str, Key]
Statement = Generator[Lock, None, Any]
"""A statement yields each row that it locks before it reads or writes it, and returns its result."""

KEYS: dict[str, tuple[tuple[str, ...], ...]] = {
    "accounts": (("shard", "member_id"),),
    "lots": (("shard", "member_id", "lot_id"),),
    "debts": (("shard", "member_id", "debt_no"),),
    "write_offs": (("shard", "member_id", "version", "wallet"),),
    "orders": (("shard", "member_id", "order_id"),),
    "refunds": (("shard", "member_id", "order_id", "refund_no"),),
    "referrals": (("shard", "member_id"),),
    "consumed_events": (("shard", "source", "event_id"),),
    "adjustments": (("shard", "source", "event_id"),),
    "reversed_events": (("shard", "member_id", "source", "event_id"),),
    "postings": (("shard", "pos"), ("shard", "member_id", "version")),
    "movements": (("shard", "pos", "seq"),),
    "dead_letters": (("topic", "partition", "offset", "arrived_at"),),
    "tallies": (("shard", "member_id", "name", "period"),),
    "budgets": (("budget_id", "per", "period"),),
    "budget_leases": (("budget_id", "per", "period", "lease_id"),),
    "programs": (("version",),),
    "shard_heads": (("shard",),),
    "consumer_offsets": (("consumer_group", "topic", "partition"),),
}
"""The unique keys of each table; the first is the primary key."""

UNSEEN, SHARED = "unseen", "unseen, shared"
"""Advisory locks: one transaction has a key of `UNSEEN` to itself, or several have that of `SHARED`."""

DEFERRED_SHARE = 0.2
"""How often a statement that only touches its own transaction's rows is nevertheless a step of its own. Nobody else
could tell the difference; but processes also die between such statements."""


def connection_lost() -> BaseException:
    """What asyncpg raises when the server went away."""
    return asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation")


class Transaction:
    """What one transaction wrote so far, and which rows it holds."""

    def __init__(self, postgres: "Postgres", process: Process | None) -> None:
        self.postgres = postgres
        self.process = process
        self.now = postgres.now()
        self.writes: dict[str, dict[Key, Row | None]] = {}
        self.locks: set[Lock] = set()
        self.waits_for: Lock | None = None
        self.snapshot: dict[str, dict[Key, Row]] | None = None
        self.failed = False

    def get(self, table: str, key: Key) -> Row | None:
        """A row as this transaction sees it."""
        written = self.writes.get(table)
        if written is not None and key in written:
            return written[key]
        return self._committed()[table].get(key)

    def rows(self, table: str) -> list[Row]:
        """All rows of a table, in the order in which they came."""
        committed, written = self._committed()[table], self.writes.get(table)
        if not written:
            return list(committed.values())
        return [row for row in {**committed, **written}.values() if row is not None]

    def put(self, table: str, row: Row) -> None:
        """Write a row; whoever does so has locked its keys."""
        self.writes.setdefault(table, {})[key_of(table, row)] = row

    def delete(self, table: str, row: Row) -> None:
        """Remove a row."""
        self.writes.setdefault(table, {})[key_of(table, row)] = None

    def _committed(self) -> dict[str, dict[Key, Row]]:
        return self.postgres.tables if self.snapshot is None else self.snapshot


def key_of(table: str, row: Row, number: int = 0) -> Key:
    """The value of one of a table's unique keys."""
    return tuple([row[column] for column in KEYS[table][number]])


class Postgres:
    """The server. `on_commit` hears of each transaction before its rows are merged."""

    def __init__(self, world: World, now: Callable[[], Instant]) -> None:
        self.world = world
        self.now = now
        self.tables: dict[str, dict[Key, Row]] = {table: {} for table in KEYS}
        self.holders: dict[Lock, Transaction] = {}
        self.sharers: dict[Key, list[Transaction]] = {}
        self.unique: dict[tuple[str, int], set[Key]] = {
            (table, number): set() for table, keys in KEYS.items() for number in range(1, len(keys))
        }
        self.commits = 0
        self.on_commit: list[Callable[[Transaction], None]] = []
        self.connections: dict[Connection, None] = {}

    def restart(self) -> None:
        """Break all connections; what was not committed is gone."""
        for connection in list(self.connections):
            connection.lose()

    def is_free(self, lock: Lock, transaction: Transaction) -> bool:
        """Whether a transaction may have a row."""
        return not self._in_the_way(lock, transaction)

    def _in_the_way(self, lock: Lock, transaction: Transaction) -> list[Transaction]:
        """The transactions that have a row which another one wants."""
        table, key = lock
        holder = self.holders.get((UNSEEN, key) if table is SHARED else lock)
        if holder is not None and holder is not transaction:
            return [holder]
        return [other for other in self.sharers.get(key, ()) if other is not transaction] if table is UNSEEN else []

    def _take(self, lock: Lock, transaction: Transaction) -> None:
        if lock[0] is SHARED:
            self.sharers.setdefault(lock[1], []).append(transaction)
        else:
            self.holders[lock] = transaction
        transaction.locks.add(lock)

    def advance(self, transaction: Transaction, statement: Statement) -> Any:
        """Run a statement until it is through, or has to wait."""
        lock = transaction.waits_for
        transaction.waits_for = None
        while True:
            if lock is not None:
                if not self.is_free(lock, transaction):
                    self._wait(transaction, lock)
                    return BLOCKED
                self._take(lock, transaction)
            try:
                lock = next(statement)
            except StopIteration as end:
                return end.value

    def _wait(self, transaction: Transaction, lock: Lock) -> None:
        """Raises where the holder waits, directly or not, for this transaction."""
        holders = self._in_the_way(lock, transaction)
        for holder in holders:
            if holder is transaction:
                raise asyncpg.DeadlockDetectedError("deadlock detected")
            if holder.waits_for is not None:
                behind = self._in_the_way(holder.waits_for, holder)
                holders += [other for other in behind if other not in holders]
        transaction.waits_for = lock

    def commit(self, transaction: Transaction) -> None:
        """Make a transaction's rows everybody's, in one instant."""
        if transaction.failed:
            self.release(transaction)
            return
        if transaction.writes:
            self.commits += 1
            for hear in self.on_commit:
                hear(transaction)
            for table, rows in transaction.writes.items():
                self._merge(table, rows)
        self.release(transaction)

    def _merge(self, table: str, rows: dict[Key, Row | None]) -> None:
        committed = self.tables[table]
        for key, row in rows.items():
            if row is None:
                committed.pop(key, None)
            else:
                committed[key] = row
                for number in range(1, len(KEYS[table])):
                    self.unique[table, number].add(key_of(table, row, number))

    def release(self, transaction: Transaction) -> None:
        """Let go of a transaction's locks; what it wrote and did not commit is gone."""
        for lock in transaction.locks:
            if lock[0] is SHARED:
                self.sharers[lock[1]].remove(transaction)
            elif self.holders.get(lock) is transaction:
                del self.holders[lock]
        transaction.locks.clear()
        transaction.writes = {}
        transaction.waits_for = None

    def insert(self, transaction: Transaction, table: str, rows: Iterable[Row]) -> Statement:
        """Add rows; a key that is there, or that another transaction is adding, is met as PostgreSQL does."""
        for row in rows:
            for number in range(len(KEYS[table])):
                key = key_of(table, row, number)
                yield (f"{table}/{number}" if number else table, key)
                there = transaction.get(table, key) is not None if number == 0 else key in self.unique[table, number]
                if there:
                    raise asyncpg.UniqueViolationError(f"duplicate key in {table}: {key}")
            transaction.put(table, row)


class Pool:
    """asyncpg's pool, as far as the workers use it."""

    def __init__(self, postgres: Postgres, handlers: dict[str, Callable[..., Statement]]) -> None:
        self.postgres = postgres
        self.handlers = handlers
        self._closed = False

    @asynccontextmanager
    async def acquire(self, timeout: float | None = None) -> AsyncIterator["Connection"]:  # noqa: ASYNC109
        connection = Connection(self.postgres, self.handlers, current())
        try:
            yield connection
        finally:
            connection.close()

    async def fetch(self, statement: str, *arguments: Any) -> list[Any]:
        async with self.acquire() as connection:
            found: list[Any] = await connection.fetch(statement, *arguments)
            return found

    async def fetchrow(self, statement: str, *arguments: Any) -> Any:
        rows = await self.fetch(statement, *arguments)
        return rows[0] if rows else None

    async def execute(self, statement: str, *arguments: Any) -> None:
        await self.fetch(statement, *arguments)

    def terminate(self) -> None:
        self._closed = True


class Connection:
    """A connection of one process. Outside of a transaction each statement is one of its own."""

    def __init__(self, postgres: Postgres, handlers: dict[str, Callable[..., Statement]], process: Process) -> None:
        self._postgres = postgres
        self._handlers = handlers
        self._process = process
        self._transaction: Transaction | None = None
        self._running: Transaction | None = None
        self._lost = False
        postgres.connections[self] = None
        process.on_death.append(self.lose)

    def lose(self) -> None:
        """The connection breaks: the server rolls back what it has open."""
        self._lost = True
        for transaction in (self._transaction, self._running):
            if transaction is not None:
                transaction.failed = True
                self._postgres.release(transaction)

    def close(self) -> None:
        """Back into the pool: what is still open is rolled back."""
        self.lose()
        self._postgres.connections.pop(self, None)
        if self.lose in self._process.on_death:
            self._process.on_death.remove(self.lose)

    @asynccontextmanager
    async def transaction(self, isolation: str = "read_committed", readonly: bool = False) -> AsyncIterator[None]:
        transaction = Transaction(self._postgres, self._process)
        if isolation == "repeatable_read":
            transaction.snapshot = {table: dict(rows) for table, rows in self._postgres.tables.items()}
        self._transaction = transaction
        try:
            yield
        except BaseException:
            self._postgres.release(transaction)
            self._transaction = None
            if self._lost and self._process.alive:
                raise connection_lost() from None  # the rollback fails, and its error takes the place of the first
            raise
        await self._commit(transaction)

    async def _commit(self, transaction: Transaction) -> None:
        def apply() -> None:
            self._check()
            self._postgres.commit(transaction)
            self._transaction = None

        await self._postgres.world.operate("COMMIT", apply, lost=self._break)

    def _check(self) -> None:
        if self._lost:
            raise connection_lost()

    def _break(self) -> BaseException:
        self.lose()
        return connection_lost()

    async def fetch(self, statement: str, *arguments: Any) -> Any:
        handler = self._handlers.get(statement)
        if handler is None:
            raise BrokenPromiseError(f"the stand-in does not know this statement: {statement}")
        return await self._run(handler.__name__, lambda transaction: handler(transaction, *arguments))

    async def fetchrow(self, statement: str, *arguments: Any) -> Any:
        rows = await self.fetch(statement, *arguments)
        return rows[0] if rows else None

    async def execute(self, statement: str, *arguments: Any) -> None:
        await self.fetch(statement, *arguments)

    async def copy_records_to_table(
        self, table: str, *, records: Iterable[Sequence[Any]], columns: Sequence[str]
    ) -> None:
        def copy(transaction: Transaction) -> Statement:
            rows = [dict(zip(columns, record, strict=True)) for record in records]
            for row in rows:
                row.setdefault("recorded_at", transaction.now)
            return self._postgres.insert(transaction, table, rows)

        await self._run(f"copy {table}", copy)

    async def _run(self, name: str, begin: Callable[[Transaction], Statement]) -> Any:
        self._check()
        transaction = self._transaction or Transaction(self._postgres, self._process)
        self._running = transaction
        started: list[Statement] = []

        def apply() -> Any:
            self._check()
            if transaction.failed:
                raise asyncpg.InFailedSQLTransactionError("current transaction is aborted")
            if not started:
                started.append(begin(transaction))
            try:
                result = self._postgres.advance(transaction, started[0])
            except Exception:
                transaction.failed = True
                if transaction is not self._transaction:
                    self._postgres.release(transaction)
                raise
            if result is not BLOCKED and transaction is not self._transaction:
                self._postgres.commit(transaction)
            return result

        def is_ready() -> bool:
            return transaction.waits_for is None or self._postgres.is_free(transaction.waits_for, transaction)

        world = self._postgres.world
        if self._is_private(name, transaction) and world.random.random() >= DEFERRED_SHARE:
            result = apply()
            if result is not BLOCKED:
                return result
        return await world.operate(name, apply, is_ready, lost=self._break)

    def _is_private(self, name: str, transaction: Transaction) -> bool:
        """Whether only this transaction can tell when the statement happens."""
        return (
            self._process.alive and transaction is self._transaction and name.startswith(("copy ", "update_", "clear_"))
        )
