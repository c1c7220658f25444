"""Connections to PostgreSQL: a role for each process, instants as integers, JSON as bytes."""

from collections.abc import Sequence
from enum import StrEnum
from struct import Struct
from typing import TYPE_CHECKING

import asyncpg

from shared.domain.time import Instant

Record = asyncpg.Record

# The type checker knows these classes with a parameter for the records; at run time they take none.
if TYPE_CHECKING:
    Connection = asyncpg.Connection[Record] | asyncpg.pool.PoolConnectionProxy[Record]
    Pool = asyncpg.Pool[Record]
else:
    Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy
    Pool = asyncpg.Pool

_POSTGRES_EPOCH_US = 946_684_800_000_000
"""PostgreSQL counts microseconds from 2000-01-01T00:00Z, the domain from 1970."""

_INT64 = Struct(">q")
_pack, _unpack = _INT64.pack, _INT64.unpack

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
    asyncpg.ObjectNotInPrerequisiteStateError,
)
"""What says that PostgreSQL went away, or is not there yet: worth trying again."""


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
        timeout=CONNECT_TIMEOUT_S,
        command_timeout=STATEMENT_TIMEOUT_S,
        server_settings={
            "role": role.value,
            "application_name": f"pointstream {role.value.removeprefix('pointstream_')}",
            "timezone": "UTC",
            "jit": "off",
            **(_BY_KEY if by_key else {}),
        },
    )


async def _set_codecs(connection: "asyncpg.Connection[Record]") -> None:
    """In asyncpg's binary format: its tuple format, made for this, costs three times as much an instant."""
    await connection.set_type_codec(
        "timestamptz", schema="pg_catalog", format="binary", encoder=_encode_instant, decoder=_decode_instant
    )
    await connection.set_type_codec("json", schema="pg_catalog", format="binary", encoder=bytes, decoder=bytes)
    await connection.set_type_codec(
        "jsonb", schema="pg_catalog", format="binary", encoder=_encode_json, decoder=_decode_json
    )


def _encode_instant(instant: Instant) -> bytes:
    return _pack(instant - _POSTGRES_EPOCH_US)


def _decode_instant(value: bytes) -> Instant:
    return Instant(_unpack(value)[0] + _POSTGRES_EPOCH_US)


def _encode_json(text: bytes) -> bytes:
    return _JSONB_VERSION + text


def _decode_json(value: bytes) -> bytes:
    return bytes(value[1:])


async def copy(connection: Connection, table: str, columns: Sequence[str], rows: Sequence[tuple[object, ...]]) -> None:
    """Add rows to a table by COPY; nothing is sent for none."""
    if rows:
        await connection.copy_records_to_table(table, records=rows, columns=columns)
