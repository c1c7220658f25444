"""Imports of opening balances: many adjustments that belong together, and can be taken back together.

Each row of an import is an adjustment with an id of its own: its reference, which is unique for the installation, or
else its line in the import. So a row counts once, however often its file is imported.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from shared.domain.facts import Adjustment
from shared.domain.ids import AdjustmentId, EventId, EventSource, ImportId, LotId, MemberId, Shard, Wallet
from shared.domain.time import Instant
from shared.ledger import statements
from shared.ledger.database import Connection, Pool, Record

SOURCE: Final = EventSource("/pointstream/imports")
"""The source of the events that tell of an import's rows, and of their being taken back."""

IMPORTS_MAX = 1_000
"""How many imports a list shows: they are rare."""


class ImportRefusedError(Exception):
    """An import cannot be run or taken back like this; the message says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Revert:
    """Who took an import back, why and when."""

    actor: str
    reason: str
    begun_at: Instant


@dataclass(frozen=True, slots=True)
class Import:
    """An import: its rows happen when it begins. `wallet` is that of rows which name none."""

    import_id: ImportId
    wallet: Wallet
    actor: str
    reason: str
    file_name: str
    begun_at: Instant
    revert: Revert | None = None


@dataclass(frozen=True, slots=True)
class Given:
    """A row of an import that gave points, and the lot that they are in; None for a counter that needs none."""

    shard: Shard
    event_id: EventId
    member_id: MemberId
    wallet: Wallet
    points: int
    lot_id: LotId | None


def row_id(import_id: ImportId, reference: str | None, line: int) -> AdjustmentId:
    """The id of a row."""
    return AdjustmentId(f"line/{import_id}/{line}" if reference is None else f"ref/{reference}")


def revert_of(given: Given, import_id: ImportId, revert: Revert, now: Instant) -> tuple[AdjustmentId, Adjustment]:
    """The adjustment that takes back now what is left of a row, with its id."""
    adjustment = Adjustment(
        given.member_id,
        given.wallet,
        -given.points,
        revert.actor,
        revert.reason,
        now,
        lot_id=given.lot_id,
        import_id=import_id,
    )
    return AdjustmentId(f"revert/{given.event_id}"), adjustment


@asynccontextmanager
async def alone_with(pool: Pool, import_id: ImportId) -> AsyncIterator[None]:
    """Nobody else runs the import or takes it back as long as the block lasts. Raises `ImportRefusedError`."""
    async with pool.acquire() as connection:
        if not await connection.fetchval(statements.LOCK_IMPORT, import_id):
            raise ImportRefusedError(f"somebody else is at import {import_id!r} just now; try again when they are done")
        try:
            yield
        finally:
            if not connection.is_closed():
                await connection.fetchval(statements.UNLOCK_IMPORT, import_id)


async def find_import(connection: Connection | Pool, wanted: Import) -> Import:
    """The import as it is known, or else as it is wanted. Raises `ImportRefusedError` where it is another one, or was
    taken back."""
    known = await read_import(connection, wanted.import_id)
    if known is None:
        return wanted
    if known.revert is not None:
        raise ImportRefusedError(f"import {known.import_id!r} was taken back; run the file under another --id")
    if (known.wallet, known.actor, known.reason) != (wanted.wallet, wanted.actor, wanted.reason):
        raise ImportRefusedError(
            f"import {known.import_id!r} was begun by {known.actor} for the wallet {known.wallet}, as {known.reason!r}."
            " To go on with it, say the same; for another one, give it another --id"
        )
    return known


async def begin_import(connection: Connection | Pool, wanted: Import) -> None:
    """Record that an import begins, unless it has."""
    await connection.execute(
        statements.ADD_IMPORT,
        wanted.import_id,
        wanted.wallet,
        wanted.actor,
        wanted.reason,
        wanted.file_name,
        wanted.begun_at,
    )


async def begin_revert(connection: Connection | Pool, import_id: ImportId, revert: Revert) -> None:
    """Record that an import is taken back from now on, unless it is: no row of it is posted any more."""
    await connection.execute(statements.ADD_IMPORT_REVERT, import_id, revert.actor, revert.reason, revert.begun_at)


async def read_import(connection: Connection | Pool, import_id: ImportId) -> Import | None:
    """An import by its id."""
    row = await connection.fetchrow(statements.READ_IMPORTS, import_id, 1)
    return None if row is None else _import(row)


async def list_imports(connection: Connection | Pool) -> list[Import]:
    """The newest imports."""
    return [_import(row) for row in await connection.fetch(statements.READ_IMPORTS, None, IMPORTS_MAX)]


async def count_rows(connection: Connection | Pool, import_id: ImportId) -> int:
    """How many rows of an import the ledger has."""
    counted: int = await connection.fetchval(statements.COUNT_IMPORT_ROWS, import_id, SOURCE)
    return counted


async def rows_given(pool: Pool, import_id: ImportId, page: int) -> AsyncIterator[list[Given]]:
    """The rows of an import that were posted, `page` at a time."""
    shard, event_id = Shard(-1), EventId("")
    while rows := await pool.fetch(statements.READ_IMPORT_ROWS, import_id, SOURCE, shard, event_id, page):
        found = [
            Given(row["shard"], row["event_id"], row["member_id"], row["wallet"], row["moved"], row["lot_id"])
            for row in rows
        ]
        shard, event_id = found[-1].shard, found[-1].event_id
        if moved := [given for given in found if given.points]:
            yield moved


def _import(row: Record) -> Import:
    revert = None
    if row["reverted_at"] is not None:
        revert = Revert(row["reverted_by"], row["revert_reason"], row["reverted_at"])
    return Import(
        row["import_id"], row["wallet"], row["actor"], row["reason"], row["file_name"], row["begun_at"], revert
    )
