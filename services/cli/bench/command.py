"""`pointstream bench`: its parts, one after the other, on a stack of their own."""

import asyncio
import contextlib
import tempfile
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import orjson
import psutil
import typer

from deploy.stack.ports import free_ports
from services.cli.bench import growth, latency, reads, throughput, writers
from services.cli.bench.bench_stack import ONE_RULE, PROGRAM, REALISTIC, Bench, bench_stack
from services.cli.bench.decisions import decisions_per_s
from services.cli.bench.figures import Figures, quantile, table
from services.cli.bench.machine import calibrate_ms
from services.cli.bench.orders import MEMBERS, Spread
from services.cli.bench.throughput import Load
from services.cli.bench.yardstick import run_bare
from services.cli.config import console, errors
from shared.cache.balances import BalanceCache
from shared.core import core
from shared.domain.ids import MemberId
from shared.setup import SHARDS


class Part(StrEnum):
    """What can be measured by itself."""

    DECISIONS = "decisions"
    THROUGHPUT = "throughput"
    PROGRAMS = "programs"
    LATENCY = "latency"
    BUDGETS = "budgets"
    GROWTH = "growth"
    READS = "reads"


WARM_UP_ORDERS = 30_000
WARM_UP_RUNS = 2
"""A broker needs some runs before its figures count."""

DECISIONS = 50_000
PROGRAMS = {"one rule": ONE_RULE, "realistic program": REALISTIC}
LARGE_BUDGET, SMALL_BUDGET = 10**12, 3_000_000
"""Points: one that lasts, and one that is used up by some 8,000 orders, as each gives some 360."""
ACTIVATIONS = 10
LATENCY_S = 20.0
LONE_ORDERS = 40
PAST_MOVEMENTS = 10_000_000
GROWN_WARM_UP_ORDERS = 120_000
"""Before the first of them, no page of the large ledger is in PostgreSQL's memory, and each is written whole when it is
first changed."""
READS_PER_S = 1_000
READS_S = 15.0
READ_MEMBERS = 5_000
RATE_UNMEASURED = 2_000.0
"""The load for latencies when the throughput was not measured: a half of what a slow machine does."""


@dataclass(slots=True)
class Plan:
    """What to measure, and how long."""

    runs: int
    orders: int
    parts: list[Part]
    figures: Figures = field(default_factory=Figures)


def bench(
    runs: Annotated[int, typer.Option(min=1, max=50, help="How often each figure is taken.")] = 3,
    order_count: Annotated[
        int, typer.Option("--orders", min=5_000, max=2_000_000, help="Orders in each run.")
    ] = 80_000,
    only: Annotated[list[Part] | None, typer.Option("--only", help="Measure only this part; may be repeated.")] = None,
    domain: Annotated[bool, typer.Option("--domain", help="Measure only the pure core: --only decisions.")] = False,
    program: Annotated[Path, typer.Option("--program", help="The program to decide by; it must take USD.")] = PROGRAM,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the figures there too.")] = None,
) -> None:
    """Measure decisions, throughput, latency, cost and reads on this machine, beside a bare pipeline of the same
    servers.

    It brings up a stack of its own and removes it; `--only decisions` needs none. Everything shares the machine's
    cores, the load included; let nothing else run beside it.
    """
    plan = Plan(runs, order_count, [Part.DECISIONS] if domain else only or list(Part))
    _say(f"the core runs {'compiled' if core() == 'compiled' else 'from source'}")
    with contextlib.suppress(KeyboardInterrupt):  # what was measured before Ctrl-C is still worth telling
        if Part.DECISIONS in plan.parts:
            _decisions(plan)
        if plan.parts != [Part.DECISIONS]:
            with (
                tempfile.TemporaryDirectory(prefix="pointstream-bench-") as folder,
                bench_stack(Path(folder), program) as made,
            ):
                asyncio.run(_measure(plan, made))
    console.print(table(plan.figures.all()))
    if json_file is not None:
        document = {"machine": _machine(), "figures": [figure.document() for figure in plan.figures.all()]}
        json_file.write_bytes(orjson.dumps(document, option=orjson.OPT_INDENT_2) + b"\n")


def _machine() -> dict[str, Any]:
    return {"core": core(), "cores": psutil.cpu_count(), "memory_mb": psutil.virtual_memory().total // 1_000_000}


async def _measure(plan: Plan, made: Bench) -> None:
    measured_by: dict[Part, Callable[[Plan, Bench], Coroutine[Any, Any, None]]] = {
        Part.THROUGHPUT: _throughput,
        Part.PROGRAMS: _programs,
        Part.BUDGETS: _budgets,
        Part.LATENCY: _latency,
        Part.GROWTH: _growth,
        Part.READS: _reads,
    }
    _say("warming the servers up")
    for number in range(WARM_UP_RUNS):
        async with made.installation(f"bench_warm_{number}") as settings:
            await throughput.run(made, settings, Load(WARM_UP_ORDERS), 1)
    for part, measure in measured_by.items():
        if part in plan.parts:
            await measure(plan, made)


def _decisions(plan: Plan) -> None:
    """What the pure core decides, beside how fast the machine is."""
    for _ in range(plan.runs):
        plan.figures.add(Part.DECISIONS, "counting to a million", "ms", calibrate_ms())
        for name, program in PROGRAMS.items():
            decided = decisions_per_s(program, DECISIONS)
            plan.figures.add(Part.DECISIONS, f"orders decided by the core, {name}", "1/s", decided)


async def _programs(plan: Plan, made: Bench) -> None:
    """(j) what a realistic program costs: its throughput against that of a single rule; and by it, events of all
    kinds."""
    figures, part = plan.figures, Part.PROGRAMS
    for number in range(plan.runs):
        done: dict[str, float] = {}
        for place, (name, program) in enumerate(PROGRAMS.items()):
            async with made.installation(f"bench_program_{number}_{place}", program) as settings:
                run = await throughput.run(made, settings, Load(plan.orders), 1)
            done[name] = run.orders_per_s
            figures.add(part, f"orders, {name}", "1/s", run.orders_per_s)
            figures.add(part, f"processor time, {name}", "us/order", sum(run.cpu_us.values()))
            for process, value in run.cpu_us.items():
                figures.add(part, f"CPU of {process}, {name}", "us an order", value)
            figures.add(part, f"rows written, {name}", "an order", run.rows)
        async with made.installation(f"bench_program_{number}_mixed", REALISTIC) as settings:
            for workers in (1, 2):
                load = Load(plan.orders, first=(workers - 1) * 2 * plan.orders, mixed=True)
                mixed = await throughput.run(made, settings, load, workers)
                figures.add(part, f"events of a mixed stream, workers: {workers}", "1/s", mixed.orders_per_s)
                figures.add(part, f"longest pause between commits, workers: {workers}", "ms", mixed.pause_ms)
            load = Load(plan.orders, first=4 * plan.orders, mixed=True, activations=ACTIVATIONS)
            changing = await throughput.run(made, settings, load, 2)
            figures.add(part, f"events while {ACTIVATIONS} versions are activated", "1/s", changing.orders_per_s)
            figures.add(part, "longest pause while versions are activated", "ms", changing.pause_ms)
            figures.add(part, "activating against not", "", changing.orders_per_s / mixed.orders_per_s)
        figures.add(part, "realistic program against one rule", "", done["realistic program"] / done["one rule"])
        _say(f"run {number + 1}: " + ", ".join(f"{name} {rate:,.0f} orders/s" for name, rate in done.items()))


async def _throughput(plan: Plan, made: Bench) -> None:
    """(a) one and two earn workers and a skewed load, (b) the bare pipeline, (c) their ratio, (e) processor time,
    (g) memory, (i) what a batch and an order write."""
    figures, part = plan.figures, Part.THROUGHPUT
    for number in range(plan.runs):
        figures.add(part, "counting to a million", "ms", calibrate_ms())
        async with made.installation(f"bench_{number}_one") as settings:
            one = await throughput.run(made, settings, Load(plan.orders), 1)
            bare = await run_bare(settings, throughput.WARM_UP_ORDERS + plan.orders)
        _say(f"run {number + 1}: {one.orders_per_s:,.0f} orders/s; bare {bare:,.0f}")
        async with made.installation(f"bench_{number}_two") as settings:
            two = await throughput.run(made, settings, Load(plan.orders), 2)
        async with made.installation(f"bench_{number}_skewed") as settings:
            skewed = await throughput.run(made, settings, Load(plan.orders, Spread.SKEWED), 1)
        _say(f"run {number + 1}: {two.orders_per_s:,.0f} with two workers, {skewed.orders_per_s:,.0f} skewed")
        figures.add(part, "orders, one earn worker", "1/s", one.orders_per_s)
        figures.add(part, "orders, two earn workers", "1/s", two.orders_per_s)
        figures.add(part, "orders, skewed, one earn worker", "1/s", skewed.orders_per_s)
        figures.add(part, "bare pipeline", "1/s", bare)
        figures.add(part, "ratio to bare, one earn worker", "", one.orders_per_s / bare)
        figures.add(part, "ratio to bare, two earn workers", "", two.orders_per_s / bare)
        for name, value in one.cpu_us.items():
            figures.add(part, f"CPU of {name}", "us an order", value)
        figures.add(part, "CPU of all", "us an order", sum(one.cpu_us.values()))
        for name, value in one.memory_mb.items():
            figures.add(part, f"memory of {name}", "MB", value)
        figures.add(part, "start to first order read", "s", one.ready_s)
        figures.add(part, "batch", "orders", one.batch_orders)
        figures.add(part, "rows written", "an order", one.rows)
        figures.add(part, "WAL", "bytes an order", one.wal_bytes)


async def _budgets(plan: Plan, made: Bench) -> None:
    """(k) what a budget costs that eight writers share, and what is left of one that they have used up."""
    figures, part = plan.figures, Part.BUDGETS
    with tempfile.TemporaryDirectory(prefix="pointstream-bench-") as folder:
        programs = {
            name: _with_budget(Path(folder), points)
            for name, points in (("one budget", LARGE_BUDGET), ("a budget that is used up", SMALL_BUDGET))
        }
        for number in range(plan.runs):
            done: dict[str, writers.Written] = {}
            for place, (name, program) in enumerate({"no budget": ONE_RULE, **programs}.items()):
                async with made.installation(f"bench_budget_{number}_{place}", program) as settings:
                    done[name] = await writers.run(settings, plan.orders)
                figures.add(part, f"orders by eight writers, {name}", "1/s", done[name].orders_per_s)
            without = done.pop("no budget")
            for name, written in done.items():
                figures.add(part, f"{name} against none", "", written.orders_per_s / without.orders_per_s)
            stranded = 1 - done["a budget that is used up"].used / SMALL_BUDGET
            figures.add(part, "stranded of a budget that is used up", "%", 100 * stranded)
            _say(f"run {number + 1}: {without.orders_per_s:,.0f} orders/s without a budget")


def _with_budget(folder: Path, points: int) -> Path:
    """The program of one rule, with a budget for all of its points."""
    path = folder / f"budget-{points}.yaml"
    path.write_text(f"{ONE_RULE.read_text()}budgets:\n  - {{id: fund, points: {points}}}\n", encoding="utf-8")
    return path


async def _latency(plan: Plan, made: Bench) -> None:
    """(d) from the send to Redis and to a reader of committed records, at half of the throughput and idle."""
    figures, part = plan.figures, Part.LATENCY
    try:
        rate = plan.figures.median("orders, one earn worker") / 2
    except KeyError:
        rate = RATE_UNMEASURED
    async with made.installation("bench_latency") as settings:
        lone = await latency.idle(settings, LONE_ORDERS)
        _say(f"latency of lone orders is measured; now at {rate:,.0f} orders/s")
        for _ in range(plan.runs):
            loaded = await latency.under_load(settings, rate, LATENCY_S)
            for name, values in (("to Redis", loaded.redis_ms), ("to a committed read", loaded.topic_ms)):
                for label, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99)):
                    figures.add(part, f"{name} at {rate:,.0f}/s, {label}", "ms", quantile(values, share))
    for name, values in (("to Redis", lone.redis_ms), ("to a committed read", lone.topic_ms)):
        figures.add(part, f"{name}, a lone order, p50", "ms", quantile(values, 0.5))


async def _growth(plan: Plan, made: Bench) -> None:
    """(f) what an order costs on a ledger of many movements, beside one with the same members and one posting each."""
    figures, part = plan.figures, Part.GROWTH
    many = PAST_MOVEMENTS // (MEMBERS * growth.MOVEMENTS_A_POSTING)
    async with made.installation("bench_small") as small, made.installation("bench_large") as large:
        _say("loading a past of ten million movements; that takes some minutes")
        await growth.load(small, 1)
        movements = await growth.load(large, many)
        for settings in (small, large):
            await throughput.run(made, settings, Load(GROWN_WARM_UP_ORDERS), 1)
        each = plan.orders // 2
        for number in range(1, plan.runs + 1):
            cost = []
            first = GROWN_WARM_UP_ORDERS + number * 2 * (throughput.WARM_UP_ORDERS + each)
            for name, settings in (("small ledger", small), (f"{movements:,} movements", large)):
                run = await throughput.run(made, settings, Load(each, first=first), 1)
                cost.append(sum(run.cpu_us.values()))
                figures.add(part, f"CPU of all, {name}", "us an order", cost[-1])
                figures.add(part, f"CPU of postgres, {name}", "us an order", run.cpu_us["postgres"])
                figures.add(part, f"WAL, {name}", "bytes an order", run.wal_bytes)
            _say(f"an order cost {cost[0]:.0f} us, and {cost[1]:.0f} us after the past")
            figures.add(part, "ratio of the two", "", cost[1] / cost[0])


async def _reads(plan: Plan, made: Bench) -> None:
    """(h) balance reads by the API, beside HGETALL by the same client."""
    figures, part = plan.figures, Part.READS
    async with made.installation("bench_reads") as installed:
        settings = installed.model_copy(update={"api_port": free_ports(1)[0]})
        await growth.load(settings, 1)
        members = [f"member-{number}" for number in range(READ_MEMBERS)]
        cache = BalanceCache(settings.redis, settings.installation, SHARDS)
        keys = [cache.key(MemberId(member)) for member in members]
        await cache.close()
        for _ in range(plan.runs):
            by_api = await reads.api_reads(settings, members, READS_PER_S, READS_S)
            by_redis = await reads.redis_reads(settings, keys, READS_PER_S, READS_S)
            for name, values in (("API", by_api), ("HGETALL", by_redis)):
                for label, share in (("p50", 0.5), ("p99", 0.99)):
                    figures.add(part, f"{name} at {READS_PER_S:,}/s, {label}", "ms", quantile(values, share))


def _say(line: str) -> None:
    errors.print(line, highlight=False)
