"""Connections to PostgreSQL: a role for each process, instants as integers, JSON as bytes."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from enum import StrEnum
from time import perf_counter
from typing import TYPE_CHECKING

import asyncpg
import structlog

from shared.ledger import statements
from shared.metrics import POOL_WAIT

Record = asyncpg.Record

# The type checker knows these classes with a parameter for the records; at run time they take none.
if TYPE_CHECKING:
    Connection = asyncpg.Connection[Record] | asyncpg.pool.PoolConnectionProxy[Record]
    Pool = asyncpg.Pool[Record]
else:
    Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy
    Pool = asyncpg.Pool

STATEMENT_TIMEOUT_S = 60.0
"""A statement of a batch takes milliseconds; one that waits longer has lost its server, and is tried again."""

CONNECT_TIMEOUT_S = 5.0

IDLE_IN_TRANSACTION_S = 10.0
"""PostgreSQL ends a transaction whose worker has been silent for so long. One that is frozen inside it would else hold
its rows for ever, and whoever takes its work over would wait for them."""

LOCK_WAIT_S = 10.0
"""A writer that has waited for a row for so long gives up, looks who may be frozen with it, and tries again."""


log = structlog.get_logger()


class Role(StrEnum):
    """What a connection may do; the migrations say exactly what that is."""

    MIGRATOR = "pointstream_migrator"
    WRITER = "pointstream_writer"
    PUBLISHER = "pointstream_publisher"
    READER = "pointstream_reader"
    OPERATOR = "pointstream_operator"


CONNECTION_ERRORS: tuple[type[BaseException], ...] = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
    asyncpg.ObjectNotInPrerequisiteStateError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.LockNotAvailableError,
    # asyncpg's own state is upset when the server's last words come between two statements.
    asyncpg.InternalClientError,
)
"""What says that PostgreSQL went away, is not there yet, or keeps one waiting: worth trying again."""

LEDGER_ERRORS: tuple[type[BaseException], ...] = (*CONNECTION_ERRORS, asyncpg.PostgresError)
"""Whatever PostgreSQL may answer. For what is not worth a crash: probes and figures."""


_BY_KEY = {
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "plan_cache_mode": "force_generic_plan",
}
"""The hot statements look up the rows of a batch by key. On a table that was empty a moment ago, statistics would make
the planner scan it; so scans, hash and merge joins are priced out."""


async def open_pool(dsn: str, role: Role, *, max_size: int = 4, by_key: bool = True) -> Pool:
    """A pool of connections that act as `role`. All but reports look up rows `by_key`."""
    return await asyncpg.create_pool(
        dsn,
        min_size=1,
        max_size=max_size,
        init=_set_codecs,
        reset=_keep_session,
        timeout=CONNECT_TIMEOUT_S,
        command_timeout=STATEMENT_TIMEOUT_S,
        server_settings={
            "role": role.value,
            "application_name": _application_name(role),
            "timezone": "UTC",
            "jit": "off",
            **(_patience() if role is Role.WRITER else {}),
            **(_BY_KEY if by_key else {}),
        },
    )


def _application_name(role: Role) -> str:
    return f"pointstream {role.value.removeprefix('pointstream_')}"


def _patience() -> dict[str, str]:
    """How long PostgreSQL bears with a writer that is silent, and a writer with one that has what it waits for."""
    return {
        "idle_in_transaction_session_timeout": f"{IDLE_IN_TRANSACTION_S * 1000:.0f}ms",
        "lock_timeout": f"{LOCK_WAIT_S * 1000:.0f}ms",
    }


@asynccontextmanager
async def writing(pool: Pool) -> AsyncIterator[Connection]:
    """A connection inside a transaction, which is committed unless the block raises.

    Raises `asyncpg.LockNotAvailableError` after a wait of `LOCK_WAIT_S` for somebody else's rows. By then whoever is
    frozen in a COPY with them has been ended, so that the next attempt gets them.
    """
    asked_at_s = perf_counter()
    async with pool.acquire() as connection:
        POOL_WAIT.observe(perf_counter() - asked_at_s)
        try:
            async with connection.transaction():
                yield connection
        except asyncpg.LockNotAvailableError:
            await _end_silent_copies(connection)
            raise


async def _end_silent_copies(connection: Connection) -> None:
    """End what the idle timeout cannot. As the user that logged in, for a role that was taken on may end no session."""
    async with connection.transaction():
        await connection.execute("SET LOCAL ROLE NONE")
        ended = await connection.fetch(
            statements.END_SILENT_COPIES, _application_name(Role.WRITER), IDLE_IN_TRANSACTION_S * 1000
        )
    if ended:
        log.warning("ended silent COPYs that held rows", sessions=len(ended), silent_for_s=IDLE_IN_TRANSACTION_S)


async def _set_codecs(connection: "asyncpg.Connection[Record]") -> None:
    """Instants and JSON go over the wire just as they are, by codecs in C. Those in Python took a tenth of a worker."""
    for type_name, codec_name in (("timestamptz", "int8"), ("json", "bytea")):
        await connection.set_builtin_type_codec(type_name, schema="pg_catalog", codec_name=codec_name, format="binary")


async def _keep_session(connection: "asyncpg.Connection[Record]") -> None:
    """Nobody changes a session beyond the end of its transaction, so nothing has to be put right when a connection is
    given back: asyncpg's own reset is a round trip for each use of the pool. Open transactions are ended anyway."""


async def copy(connection: Connection, table: str, columns: Sequence[str], rows: Sequence[tuple[object, ...]]) -> None:
    """Add rows to a table by COPY; nothing is sent for none."""
    if rows:
        await connection.copy_records_to_table(table, records=rows, columns=columns)
