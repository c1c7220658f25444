"""Orders a second from Kafka to the last one in points-changed and in Redis, sending excluded.

    python -m tests.bench.throughput [--orders 150000] [--runs 3] [--workers 1]

Orders of three lines, some 600 bytes, of 200,000 members, on a stack of its own. Each run sends them first, then starts
the workers and takes the time from the first order read to the last one out; right after it the bare pipeline
(`tests/bench/bare.py`) reads the same orders. Machines that are shared differ by a factor of three from minute to
minute, so the ratio of the two is the figure to keep. The first run warms the broker up and is not counted.
"""

import argparse
import asyncio
import os
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path

import asyncpg
import orjson
import psutil
from redis.asyncio import Redis

from deploy import stack
from services.cli.follow import Follower
from services.cli.processes import Worker, running
from services.cli.sending import Outgoing, Sender, bulk_producer
from shared.clock import wall_clock
from shared.domain.time import Instant, rfc3339
from shared.settings import ORDER_PAID, Settings
from shared.setup import SHARDS, set_up
from tests.bench.bare import TABLE

MEMBERS = 200_000
PROGRAM = Path(__file__).parent.parent.parent / "programs" / "grocery.yaml"


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orders", type=int, default=150_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--workers", type=int, default=1, help="earn workers; there is always one publisher")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="pointstream-bench-") as folder:
        root = Path(folder) / "stack"
        addresses = stack.up(root, print)
        pids = {str(server.server.value): server.pid for server in stack.status(root).servers if server.pid}
        try:
            pairs = []
            for number in range(arguments.runs + 1):
                settings = Settings(
                    installation=f"bench_{number}",
                    kafka=addresses.kafka,
                    postgres=addresses.postgres,
                    redis=addresses.redis,
                    program=PROGRAM,
                )
                rate = asyncio.run(measure(settings, arguments.orders, arguments.workers, pids))
                bare = asyncio.run(measure_bare(settings, arguments.orders))
                print(f"{bare:8,.0f} orders/s bare; ratio {rate / bare:.2f}")
                if number:
                    pairs.append((rate, bare))
            tell("orders/s", [rate for rate, _ in pairs])
            tell("orders/s bare", [bare for _, bare in pairs])
            tell("ratio", [rate / bare for rate, bare in pairs])
        finally:
            stack.down(root, wipe=True, say=print)


def tell(what: str, figures: list[float]) -> None:
    """The median of some runs, and their spread."""
    form = "{:,.2f}" if max(figures) < 10 else "{:,.0f}"
    median, least, most = (form.format(figure) for figure in (statistics.median(figures), min(figures), max(figures)))
    print(f"{what}: median {median}, of {least} to {most}")


async def measure_bare(settings: Settings, orders: int) -> float:
    """The bare pipeline over the orders that are in the topic; orders a second."""
    connection = await asyncpg.connect(settings.database)
    await connection.execute(TABLE)
    redis = Redis.from_url(settings.redis, protocol=2)
    given = {f"POINTSTREAM_{key.upper()}": str(value) for key, value in settings.model_dump().items()}
    processes = [
        await asyncio.create_subprocess_exec(sys.executable, "-m", "tests.bench.bare", part, env=os.environ | given)
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


async def measure(settings: Settings, orders: int, workers: int, servers: dict[str, int]) -> float:
    """One run; orders a second."""
    await set_up(settings, settings.program)
    await send(settings, orders)
    spin_ms = calibrate_ms()
    names = [Worker.EARN] * workers + [Worker.PUBLISHER]
    async with Follower(settings, SHARDS) as follower, running(names, settings, log_level="warning") as children:
        while (standing := await follower.look()).read == 0:
            await asyncio.sleep(0.01)
        before, began_s, used = standing.read, time.monotonic(), cpu_seconds(servers)
        while not (standing := await follower.look()).done:
            await asyncio.sleep(0.05)
        seconds = time.monotonic() - began_s
        count = orders - before
        processes = {f"{name} {number}": pid for number, (name, pid) in enumerate(children.pids())}
        cpu = {name: (after - used[name]) / count * 1e6 for name, after in cpu_seconds(servers).items()}
        cpu |= {name: value / count * 1e6 for name, value in cpu_seconds(processes).items()}
        memory = {name: psutil.Process(pid).memory_info().rss // 1_000_000 for name, pid in processes.items()}
    print(
        f"{count / seconds:8,.0f} orders/s, {standing.postings:,} postings, counting to a million {spin_ms:.1f} ms; "
        "CPU us/order: "
        + ", ".join(f"{name} {value:.0f}" for name, value in cpu.items())
        + "; "
        + ", ".join(f"{name} {value} MB" for name, value in memory.items())
    )
    return count / seconds


async def send(settings: Settings, orders: int) -> None:
    """Send the orders. They are the same in every run, but for the time."""
    chance = random.Random(1)
    producer = bulk_producer(settings.kafka)
    await producer.start()
    sender = Sender(producer, settings.topic(ORDER_PAID), SHARDS)
    now = wall_clock()
    for number in range(orders):
        await sender.send(order(chance, number, now))
    await sender.flush()
    await producer.stop()


def order(chance: random.Random, number: int, now: Instant) -> Outgoing:
    """An order of three lines."""
    lines = []
    for line in range(1, 4):
        list_price = chance.randrange(100, 20_000)
        lines.append(
            {
                "line_id": str(line),
                "sku": f"SKU-{chance.randrange(10_000)}",
                "category": chance.choice(["GROCERY", "DELI", "MEAT"]),
                "brand": "National",
                "quantity": 1,
                "list_price": list_price,
                "discount": list_price // 10,
                "tax": 0,
                "paid": list_price - list_price // 10,
            }
        )
    member_id = f"member-{chance.randrange(MEMBERS)}"
    data = {
        "order_id": f"order-{number}",
        "member_id": member_id,
        "currency": "USD",
        "paid": sum(int(str(line["paid"])) for line in lines),
        "lines": lines,
        "channel": "web",
        "store": "1",
        "occurred_at": rfc3339(now),
    }
    return Outgoing("/bench", f"event-{number}", member_id, now, orjson.dumps(data))


def cpu_seconds(pids: dict[str, int]) -> dict[str, float]:
    """User and system time of processes with all that they ever started."""
    found = {}
    for name, pid in pids.items():
        process = psutil.Process(pid)
        times = [process.cpu_times(), *(child.cpu_times() for child in process.children(recursive=True))]
        ended = times[0].children_user + times[0].children_system
        found[name] = sum(used.user + used.system for used in times) + ended
    return found


def calibrate_ms() -> float:
    """How long this machine takes to count to a million: the least of ten times."""
    least = float("inf")
    for _ in range(10):
        began = time.perf_counter()
        for _ in range(1_000_000):
            pass
        least = min(least, time.perf_counter() - began)
    return least * 1000


if __name__ == "__main__":
    main()
