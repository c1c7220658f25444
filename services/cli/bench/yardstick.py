"""The bare pipeline over the same orders, in processes of its own."""

import asyncio
import os
import sys
import time

import asyncpg
from redis.asyncio import Redis

from services.cli.processes import as_environment
from shared.settings import Settings

TABLE = "CREATE TABLE bare (n bigint PRIMARY KEY, event_id text, member_id text, paid bigint, shard integer)"


async def run_bare(settings: Settings, orders: int) -> float:
    """Orders a second of the bare pipeline over the orders that are in the topic."""
    connection = await asyncpg.connect(settings.database)
    await connection.execute(TABLE)
    redis = Redis.from_url(settings.redis, protocol=2)
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-m", "services.cli.bench.bare", part, env=os.environ | as_environment(settings)
        )
        for part in ("consume", "publish")
    ]
    try:
        while not (before := await connection.fetchval("SELECT max(n) FROM bare")):
            await asyncio.sleep(0.01)
        began_s = time.monotonic()
        while int(await redis.get(f"{settings.installation}:bare") or 0) < orders:
            await asyncio.sleep(0.05)
        return float((orders - before) / (time.monotonic() - began_s))
    finally:
        for process in processes:
            process.kill()
            await process.wait()
        await redis.aclose()
        await connection.close()
