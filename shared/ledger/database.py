"""Connections to PostgreSQL: a role for each process, instants as integers, JSON as bytes."""

from collections.abc import Sequence
from enum import StrEnum

import asyncpg

from shared.domain.time import Instant

Record = asyncpg.Record
Connection = asyncpg.Connection[Record] | asyncpg.pool.PoolConnectionProxy[Record]
Pool = asyncpg.Pool[Record]

_POSTGRES_EPOCH_US = 946_684_800_000_000
"""PostgreSQL counts microseconds from 2000-01-01T00:00Z, the domain from 1970."""

_JSONB_VERSION = b"\x01"

STATEMENT_TIMEOUT_S = 60.0
"""A statement of a batch takes milliseconds; one that waits longer has lost its server, and is tried again."""

CONNECT_TIMEOUT_S = 5.0


class Role(StrEnum):
    """What a connection may do; the migrations say exactly what that is."""

    MIGRATOR = "pointstream_migrator"
    WRITER = "pointstream_writer"
    PUBLISHER = "pointstream_publisher"
    READER = "pointstream_reader"


CONNECTION_ERRORS: tuple[type[BaseException], ...] = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
)
"""What says that PostgreSQL went away, or is not there yet: worth trying again."""


async def open_pool(dsn: str, role: Role, max_size: int = 4) -> Pool:
    """A pool of connections that act as `role` and find rows by index.

    The hot statements look up the rows of a batch by key. On a table that was empty a moment ago, statistics would
    make the planner scan it; so these sessions have scans, hash and merge joins priced out.
    """
    return await asyncpg.create_pool(
        dsn,
        min_size=1,
        max_size=max_size,
        init=_set_codecs,
        timeout=CONNECT_TIMEOUT_S,
        command_timeout=STATEMENT_TIMEOUT_S,
        server_settings={
            "role": role,
            "application_name": f"pointstream {role.removeprefix('pointstream_')}",
            "timezone": "UTC",
            "jit": "off",
            "enable_seqscan": "off",
            "enable_hashjoin": "off",
            "enable_mergejoin": "off",
            "plan_cache_mode": "force_generic_plan",
        },
    )


async def _set_codecs(connection: Connection) -> None:
    await connection.set_type_codec(
        "timestamptz", schema="pg_catalog", format="tuple", encoder=_encode_instant, decoder=_decode_instant
    )
    await connection.set_type_codec(
        "jsonb", schema="pg_catalog", format="binary", encoder=_encode_json, decoder=_decode_json
    )


def _encode_instant(instant: Instant) -> tuple[int]:
    return (instant - _POSTGRES_EPOCH_US,)


def _decode_instant(value: tuple[int]) -> Instant:
    return Instant(value[0] + _POSTGRES_EPOCH_US)


def _encode_json(text: bytes) -> bytes:
    return _JSONB_VERSION + text


def _decode_json(value: bytes) -> bytes:
    return bytes(value[1:])


async def copy(connection: Connection, table: str, columns: Sequence[str], rows: Sequence[tuple[object, ...]]) -> None:
    """Add rows to a table by COPY; nothing is sent for none."""
    if rows:
        await connection.copy_records_to_table(table, records=rows, columns=columns)
