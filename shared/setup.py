"""Setting an installation up: its database, its program and its topics. Doing it again changes nothing."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from shared.contracts.program import read_program
from shared.ledger.database import Pool, Role, open_pool
from shared.ledger.installation import Clock, create_database, install, migrate, one_at_a_time
from shared.ledger.programs import register_program
from shared.settings import Settings
from shared.stream.topics import create_topics

SHARDS = 32
"""How many shards a new installation has unless it is told otherwise. It can never change."""


async def set_up(settings: Settings, program: Path, clock: Clock = Clock.LIVE, shards: int = SHARDS) -> None:
    """Make what is missing of an installation, with `program` as a version that it knows. Waits for others who do it.

    Raises `ProgramError` before anything is made, and `InstallationError` where something is otherwise by now.
    """
    _, text = read_program(program)
    async with one_at_a_time(settings.postgres):
        await create_database(settings.postgres, settings.installation)
        await migrate(settings.database)
        await fill(settings, text, str(program), clock, shards)
    await create_topics(settings, shards, clock)


async def fill(settings: Settings, program: str, name: str, clock: Clock, shards: int) -> None:
    """Fix shards and clock of a migrated database, and register a program (its text, and what to call it)."""
    async with open_ledger(settings, Role.WRITER) as pool, pool.acquire() as connection:
        await install(connection, settings.installation, shards, clock)
        await register_program(connection, program, name)


@asynccontextmanager
async def open_ledger(settings: Settings, role: Role) -> AsyncIterator[Pool]:
    """A pool for as long as the block lasts."""
    pool = await open_pool(settings.database, role)
    try:
        yield pool
    finally:
        pool.terminate()
