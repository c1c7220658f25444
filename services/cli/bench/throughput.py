"""Orders a second from the log to the last one in points-changed and in Redis, sending excluded."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

import asyncpg

from services.cli.bench.bench_stack import Bench
from services.cli.bench.machine import cpu_seconds, memory_mb
from services.cli.follow import Follower
from services.cli.processes import Worker, running
from shared.settings import Settings
from shared.setup import SHARDS

LOOK_EVERY_S = 0.3
"""To look costs some milliseconds of the same cores."""

LOOK_SOON_S = 0.05


@dataclass(frozen=True, slots=True)
class Run:
    """What one run came to. `cpu_us` and `memory_mb` are by process; the rows and bytes are an order's."""

    orders_per_s: float
    cpu_us: dict[str, float]
    memory_mb: dict[str, float]
    batch_orders: float
    rows: float
    wal_bytes: float
    ready_s: float


async def run(bench: Bench, settings: Settings, orders: int, earn_workers: int) -> Run:
    """Let workers take in `orders` orders that are in the topic already."""
    workers: Sequence[Worker] = [*[Worker.EARN] * earn_workers, Worker.PUBLISHER]
    connection = await asyncpg.connect(settings.database)
    try:
        wal_before, rows_before = await _written(connection)
        started_s = time.monotonic()
        async with Follower(settings, SHARDS) as follower, running(workers, settings, log_level="warning") as children:
            start = (await follower.look()).read
            while (standing := await follower.look()).read == start:
                await asyncio.sleep(0.01)
            names = _names(children.pids())
            everything = {**bench.pids, **names}
            first, began_s, used = standing.read - start, time.monotonic(), cpu_seconds(everything)
            while not (standing := await follower.look()).done:
                await asyncio.sleep(LOOK_SOON_S if standing.read >= standing.events else LOOK_EVERY_S)
            seconds = time.monotonic() - began_s
            count = orders - first
            cpu = {name: (after - used[name]) / count * 1e6 for name, after in cpu_seconds(everything).items()}
            memory = memory_mb(names)
        wal_after, rows_after = await _written(connection)
        batches = await connection.fetchval(
            "SELECT count(DISTINCT recorded_at) FROM consumed_events WHERE recorded_at > now() - $1 * interval '1 s'",
            time.monotonic() - started_s,
        )
    finally:
        await connection.close()
    return Run(
        count / seconds,
        cpu,
        memory,
        orders / batches,
        (rows_after - rows_before) / orders,
        (wal_after - wal_before) / orders,
        began_s - started_s,
    )


def _names(pids: Sequence[tuple[Worker, int]]) -> dict[str, int]:
    """The first of several is called by its worker's name alone."""
    names: dict[str, int] = {}
    for worker, pid in pids:
        name = worker.value
        while name in names:
            name += " 2"
        names[name] = pid
    return names


async def _written(connection: "asyncpg.Connection[asyncpg.Record]") -> tuple[float, int]:
    """Bytes of WAL written by the server, and rows written in this database, since ever."""
    wal = await connection.fetchval("SELECT pg_current_wal_lsn() - '0/0'::pg_lsn")
    rows = await connection.fetchval(
        "SELECT coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0)::bigint FROM pg_stat_user_tables"
    )
    return float(wal), rows
