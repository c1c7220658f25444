"""Orders a second from the log to the last one in points-changed and in Redis, sending excluded.

The workers come up and take in some orders first. Then they are stopped (SIGSTOP), the orders are sent, and the time
runs from their going on: so nobody starts late, and no file or table is touched for the first time while it is
measured.
"""

import asyncio
import os
import signal
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import asyncpg
from aiokafka.admin import AIOKafkaAdminClient

from services.cli.bench.activating import activate
from services.cli.bench.bench_stack import Bench
from services.cli.bench.machine import cpu_seconds, memory_mb
from services.cli.bench.mixed import mixed
from services.cli.bench.orders import Spread, orders, send
from services.cli.follow import Follower
from services.cli.processes import Worker, running
from services.cli.sending import Outgoing
from shared.settings import Settings
from shared.setup import SHARDS

LOOK_EVERY_S = 0.3
"""To look costs some milliseconds of the same cores."""

LOOK_SOON_S = 0.05

WARM_UP_ORDERS = 8_000

SESSION_TIMEOUT_MS = 120_000
"""For as long as the workers are stopped they are not heard of, and must not lose their partitions."""


@dataclass(frozen=True, slots=True)
class Load:
    """What to send: so many orders, or with `mixed` events of all kinds, numbered from `first` on after those of the
    warm-up. Meanwhile so many new versions of the program are activated."""

    orders: int
    spread: Spread = Spread.EVEN
    first: int = 0
    mixed: bool = False
    activations: int = 0

    def events(self, count: int, first: int) -> Iterator[Outgoing]:
        """So many events, numbered on from its own `first`."""
        return mixed(count, self.first + first) if self.mixed else orders(count, self.spread, self.first + first)


@dataclass(frozen=True, slots=True)
class Run:
    """What one run came to. `cpu_us` and `memory_mb` are by process; the rows and bytes are an order's; `pause_ms` is
    the longest time between two commits."""

    orders_per_s: float
    cpu_us: dict[str, float]
    memory_mb: dict[str, float]
    batch_orders: float
    rows: float
    wal_bytes: float
    ready_s: float
    pause_ms: float


async def run(bench: Bench, settings: Settings, load: Load, earn_workers: int) -> Run:
    """Let workers take in the load."""
    patient = settings.model_copy(update={"session_timeout_ms": SESSION_TIMEOUT_MS})
    workers: Sequence[Worker] = [*[Worker.EARN] * earn_workers, Worker.PUBLISHER]
    connection = await asyncpg.connect(settings.database)
    try:
        async with Follower(settings, SHARDS) as follower:
            await send(settings, load.events(WARM_UP_ORDERS // 2, 0))
            read, started_s = (await follower.look()).read, time.monotonic()
            async with running(workers, patient, log_level="error") as children:
                while (await follower.look()).read == read:
                    await asyncio.sleep(0.01)
                ready_s = time.monotonic() - started_s
                await _until_joined(settings, earn_workers)
                await send(settings, load.events(WARM_UP_ORDERS // 2, WARM_UP_ORDERS // 2))
                await follower.until_done()
                pids = _names(children.pids())
                _signal(pids.values(), signal.SIGSTOP)
                await send(settings, load.events(load.orders, WARM_UP_ORDERS))
                everything = {**bench.pids, **pids}
                wal_before, rows_before = await _written(connection)
                began_at = await connection.fetchval("SELECT now()")
                began_s, used = time.monotonic(), cpu_seconds(everything)
                _signal(pids.values(), signal.SIGCONT)
                activating = asyncio.create_task(activate(settings, load.activations))
                while not (standing := await follower.look()).done:
                    await asyncio.sleep(LOOK_SOON_S if standing.read >= standing.events else LOOK_EVERY_S)
                seconds = time.monotonic() - began_s
                await activating
                cpu = {
                    name: (after - used[name]) / load.orders * 1e6 for name, after in cpu_seconds(everything).items()
                }
                memory = memory_mb(pids)
        wal_after, rows_after = await _written(connection)
        batches, pause_ms = await _batches(connection, began_at)
    finally:
        await connection.close()
    return Run(
        load.orders / seconds,
        cpu,
        memory,
        load.orders / batches,
        (rows_after - rows_before) / load.orders,
        (wal_after - wal_before) / load.orders,
        ready_s,
        pause_ms,
    )


async def _batches(connection: "asyncpg.Connection[asyncpg.Record]", since: datetime) -> tuple[int, float]:
    """How many transactions there were, and the longest time between two of them in milliseconds."""
    row = await connection.fetchrow(
        "SELECT count(*) AS batches, extract(epoch FROM max(pause))::float8 * 1000 AS pause_ms FROM ("
        "  SELECT recorded_at - lag(recorded_at) OVER (ORDER BY recorded_at) AS pause"
        "  FROM (SELECT DISTINCT recorded_at FROM consumed_events WHERE recorded_at > $1) AS b"
        ") AS p",
        since,
    )
    if row is None or row["pause_ms"] is None:
        raise ValueError("nothing was posted in two transactions; send more orders")
    return row["batches"], row["pause_ms"]


async def _until_joined(settings: Settings, earn_workers: int) -> None:
    """Wait until the partitions are shared out among all earn workers."""
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka)
    await admin.start()
    try:
        while True:
            (response,) = await admin.describe_consumer_groups([settings.group("earn")])
            ((_, _, state, _, _, members, *_),) = response.groups
            if state == "Stable" and len(members) == earn_workers:
                return
            await asyncio.sleep(LOOK_EVERY_S)
    finally:
        await admin.close()


def _signal(pids: Iterable[int], number: signal.Signals) -> None:
    for pid in pids:
        os.kill(pid, number)


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
