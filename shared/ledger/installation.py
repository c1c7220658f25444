"""Making an installation's database: created, migrated, with its shards and its clock. Doing it twice is harmless."""

import asyncio
import os
import sysconfig
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from importlib.resources import as_file, files
from pathlib import Path
from re import fullmatch
from urllib.parse import parse_qs, unquote, urlsplit

import asyncpg

from shared.domain.time import Instant
from shared.ledger import statements
from shared.ledger.database import Connection, Pool, Role

MIGRATION_TIMEOUT_S = 120

_THIS_MACHINE = r"(localhost|127(\.[0-9]{1,3}){3}|\[?::1\]?)?(:[0-9]+)?|/.*"
"""Loopback, or a socket: by its folder, or by no host at all."""


class Clock(StrEnum):
    """Which time an installation lives in."""

    LIVE = "live"
    """Now is now. Topics stamp records on append."""
    REPLAY = "replay"
    """Now is as far as a replay has come. Topics carry the events' own time."""


@dataclass(frozen=True, slots=True)
class Installation:
    """What was fixed when the installation was made."""

    name: str
    shards: int
    clock: Clock
    replay_now: Instant | None


class InstallationError(Exception):
    """The installation cannot be used like this; the message says why and what to do."""


@asynccontextmanager
async def one_at_a_time(postgres: str) -> AsyncIterator[None]:
    """Wait for whoever sets an installation up by way of the same database of a server, and keep others waiting as long
    as the block lasts. Roles belong to the whole server, so it is not about one installation alone."""
    connection = await asyncpg.connect(postgres, timeout=10)
    try:
        await connection.execute(statements.LOCK_SETTING_UP)
        yield
    finally:
        await connection.close()


async def create_database(postgres: str, name: str, template: str | None = None) -> bool:
    """Create the database `name` on the server of `postgres`, for the migrator to own; True when it was not there."""
    connection = await asyncpg.connect(postgres, timeout=10)
    try:
        if await connection.fetchval("SELECT true FROM pg_database WHERE datname = $1", name):
            return False
        suffix = f' TEMPLATE "{template}"' if template else ""
        try:
            await connection.execute(statements.MAKE_MIGRATOR)
            await connection.execute(f'CREATE DATABASE "{name}" OWNER {Role.MIGRATOR}{suffix}')
        except (asyncpg.DuplicateDatabaseError, asyncpg.UniqueViolationError):
            return False
        return True
    finally:
        await connection.close()


async def drop_database(postgres: str, name: str) -> None:
    """Drop a database with everything in it, and end the sessions that use it."""
    connection = await asyncpg.connect(postgres, timeout=10)
    try:
        await connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
    finally:
        await connection.close()


async def migrate(database: str) -> None:
    """Bring the schema up to date, as the migrator, with dbmate. Two at once get in each other's way."""
    dbmate = Path(sysconfig.get_path("scripts")) / "dbmate"
    with as_file(files("shared.ledger") / "migrations") as folder:
        process = await asyncio.create_subprocess_exec(
            dbmate,
            "--migrations-dir",
            folder,
            "--no-dump-schema",
            "--wait",
            "--wait-timeout",
            "30s",
            "migrate",
            env={**os.environ, "DATABASE_URL": migrator_url(database)},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await asyncio.wait_for(process.communicate(), MIGRATION_TIMEOUT_S)
    if process.returncode != 0:
        raise InstallationError(f"the migrations failed:\n{output.decode(errors='replace')}")


def migrator_url(database: str) -> str:
    """The address of a database for dbmate, whose driver insists on TLS unless it is told otherwise. It is told so for
    a server on this machine, which seldom has any, where the address says nothing of TLS itself."""
    url = urlsplit(database)
    options = parse_qs(url.query)
    hosts = options.get("host", [unquote(url.netloc.rpartition("@")[2])])[0].split(",")
    plain = "sslmode" not in options and all(fullmatch(_THIS_MACHINE, host) for host in hosts)
    added = f"role={Role.MIGRATOR}" + ("&sslmode=disable" if plain else "")
    return f"{database}{'&' if url.query else '?'}{added}"


async def install(connection: Connection, name: str, shards: int, clock: Clock) -> Installation:
    """Fix shards and clock of a new installation, or check that they are those it was made with."""
    async with connection.transaction():
        await connection.execute(
            "INSERT INTO installation (name, shards, clock) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
            name,
            shards,
            clock,
        )
        found = await read_installation(connection)
        if (found.shards, found.clock) != (shards, clock):
            raise InstallationError(
                f"installation {found.name!r} was made with {found.shards} shards and a {found.clock} clock, which"
                f" cannot change; use another name for one with {shards} shards and a {clock} clock"
            )
        for table in ("shard_heads", "circulation_positions"):
            await connection.execute(
                f"INSERT INTO {table} (shard) SELECT generate_series(0, $1 - 1) ON CONFLICT DO NOTHING", shards
            )
    return found


async def read_installation(connection: Connection | Pool) -> Installation:
    """What was fixed; raises `InstallationError` where nothing was yet."""
    row = await connection.fetchrow("SELECT name, shards, clock, replay_now FROM installation")
    if row is None:
        raise InstallationError("the database is empty; run `pointstream init` first")
    return Installation(row["name"], row["shards"], Clock(row["clock"]), row["replay_now"])


async def set_replay_now(connection: Connection, now: Instant) -> None:
    """Move a replay's clock on; it never goes back."""
    await connection.execute(
        "UPDATE installation SET replay_now = greatest(replay_now, $1) WHERE clock = 'replay'", now
    )
