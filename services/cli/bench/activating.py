"""New versions of the program, activated one after the other while events flow."""

import asyncio
import re
from datetime import timedelta

import asyncpg

from shared.clock import wall_clock
from shared.domain.time import datetime_of
from shared.ledger.database import Role, open_pool
from shared.ledger.programs import register_program
from shared.settings import Settings

EVERY_S = 0.5


async def activate(settings: Settings, versions: int) -> None:
    """Register so many versions of the installation's program, each to be in force some days from now."""
    if not versions:
        return
    text = settings.program.read_text(encoding="utf-8")
    pool = await open_pool(settings.database, Role.WRITER, max_size=1)
    try:
        for number in range(versions):
            at = datetime_of(wall_clock()) + timedelta(days=number + 1)
            changed = re.sub(r"(?m)^version: .*$", f"version: {number + 2}", text)
            changed = re.sub(r"(?m)^effective_from: .*$", f'effective_from: "{at.isoformat()}"', changed)
            await _register(pool, changed)
            await asyncio.sleep(EVERY_S)
    finally:
        pool.terminate()


async def _register(pool: "asyncpg.Pool[asyncpg.Record]", text: str) -> None:
    """Batches may be under way for longer than a registration waits."""
    while True:
        async with pool.acquire() as connection:
            try:
                await register_program(connection, text, "the next version")
            except asyncpg.LockNotAvailableError:
                continue
            return
