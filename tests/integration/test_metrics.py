"""Each process tells what it does and how it is: the figures are right, and the probes see what is wrong."""

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from math import isnan
from urllib.error import HTTPError
from urllib.parse import SplitResult, urlsplit
from urllib.request import urlopen

import httpx
import pytest

from services.cli.processes import PYTHON, as_environment
from services.earn.app import ingest
from services.publisher.tail import measure_tail
from shared.clock import wall_clock
from shared.contracts.inbound import CONTRACTS
from shared.domain.facts import Sweep
from shared.domain.ids import MemberId, Shard
from shared.domain.time import DAY_US, Instant
from shared.ledger.batch import Batch
from shared.ledger.circulation import count_circulation
from shared.ledger.database import Pool, Role
from shared.ledger.post import post
from shared.ledger.programs import load_programs
from shared.metrics import DECLARED, Declared, Process, registry_of
from shared.monitor import Monitor, Readiness, Status
from shared.settings import ORDER_PAID, Settings
from shared.setup import open_ledger
from shared.stream.topics import SHARES
from tests.integration.reading import balance_path, cache_of
from tests.integration.relay import Relay
from tests.support.installing import Make
from tests.support.orders import NOON, consumed, data_of, event_of
from tests.support.running import running, send
from tests.support.watching import Watched, running_processes

Until = Callable[[Callable[[], Awaitable[bool]]], Awaitable[None]]

SHARDS = 4
LIVE, READY = "/health/live", "/health/ready"


@dataclass
class System:
    """An installation with all of its processes, which reach PostgreSQL and Redis through relays."""

    settings: Settings
    ledger: Pool
    processes: Mapping[Process, Watched]
    postgres: Relay
    redis: Relay

    @property
    def earn(self) -> Watched:
        return self.processes[Process.EARN]

    @property
    def publisher(self) -> Watched:
        return self.processes[Process.PUBLISHER]

    @property
    def expiry(self) -> Watched:
        return self.processes[Process.EXPIRY]

    @property
    def api(self) -> Watched:
        return self.processes[Process.API]

    async def balance(self, member_id: str) -> int:
        """Ask the API for a balance; the status of its answer."""
        async with httpx.AsyncClient(base_url=self.api.serves, timeout=30) as client:
            return (await client.get(balance_path(member_id))).status_code


@asynccontextmanager
async def relayed(address: str) -> AsyncIterator[tuple[Relay, str]]:
    """An open relay to a server, and the server's address through it."""
    server = urlsplit(address)
    async with Relay(server.hostname or "", server.port or 0) as relay:
        await relay.open()
        yield relay, _at(server, relay.port)


def _at(server: SplitResult, port: int) -> str:
    return server._replace(netloc=f"{server.netloc.rpartition('@')[0]}@127.0.0.1:{port}".lstrip("@")).geturl()


@pytest.fixture(scope="module")
async def system(make_installations: Make, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    """Comes up once for the tests of this file: four processes take their time to start."""
    settings = await make_installations(topics=True, shards=SHARDS)
    async with AsyncExitStack() as cleanup:
        postgres, postgres_address = await cleanup.enter_async_context(relayed(settings.postgres))
        redis, redis_address = await cleanup.enter_async_context(relayed(settings.redis))
        through = settings.model_copy(update={"postgres": postgres_address, "redis": redis_address})
        ledger = await cleanup.enter_async_context(open_ledger(settings, Role.READER))
        processes = await cleanup.enter_async_context(running_processes(through, tmp_path_factory.mktemp("logs")))
        yield System(settings, ledger, processes, postgres, redis)


def says(watched: Watched, path: str, status: int) -> Callable[[], Awaitable[bool]]:
    async def check() -> bool:
        return (await watched.get(path)).status_code == status

    return check


def shows(watched: Watched, value: float, name: str, **labels: str) -> Callable[[], Awaitable[bool]]:
    async def check() -> bool:
        return await watched.value(name, **labels) == value

    return check


def grows(watched: Watched, above: float, name: str, **labels: str) -> Callable[[], Awaitable[bool]]:
    async def check() -> bool:
        return await watched.value(name, **labels) > above

    return check


def order(number: int, member_id: str = "alice") -> dict[str, object]:
    """Ten dollars, which the grocer's program gives ten points for."""
    return event_of(data_of(f"o-{number}", member_id, at=wall_clock()))


async def test_what_comes_in_and_goes_out_is_counted(system: System, until: Until) -> None:
    orders = [order(number, f"member-{number % 10}") for number in range(30)]
    conflicting = event_of(data_of("o-0", "member-0", cents=[9900], at=wall_clock()))
    await send(system.settings, ORDER_PAID, [*orders, orders[7], b"{ not json", None, conflicting])

    earn, publisher, expiry = system.earn, system.publisher, system.expiry
    await until(shows(earn, 3, "pointstream_events_total", topic="order-paid", outcome="dead_letter"))
    await until(shows(earn, 30, "pointstream_events_total", topic="order-paid", outcome="posted"))
    await until(shows(earn, 1, "pointstream_events_total", topic="order-paid", outcome="duplicate"))
    assert await earn.values("pointstream_events_total", "outcome") == {"posted": 30, "duplicate": 1, "dead_letter": 3}
    assert await earn.values("pointstream_dead_letters_total", "defect") == {
        "not_json": 1,
        "empty": 1,
        "conflicting_duplicate": 1,
    }
    assert await earn.values("pointstream_postings_total", "kind") == {"accrual": 30}
    assert await earn.value("pointstream_batch_events_sum") == 34
    batches = await earn.value("pointstream_batch_events_count")
    assert 1 <= batches <= 34
    assert await earn.value("pointstream_batch_seconds_count") == batches
    assert await earn.value("pointstream_pool_wait_seconds_count") >= batches
    assert await earn.value("pointstream_owned_partitions") == SHARDS * len(CONTRACTS)
    assert await earn.value("pointstream_rebalances_total") >= 1
    assert await earn.value("pointstream_event_lag_seconds") == 0

    await until(shows(publisher, 30, "pointstream_published_postings_total"))
    await until(shows(publisher, 0, "pointstream_journal_tail_postings"))
    assert await publisher.value("pointstream_journal_tail_age_seconds") == 0
    assert await publisher.value("pointstream_owned_partitions") == SHARES

    await until(shows(expiry, 300, "pointstream_circulation_points", wallet="points", bucket="available"))
    assert 0 <= await expiry.value("pointstream_watermark_lag_seconds") < 60


async def test_reads_are_counted_by_what_redis_had(system: System, until: Until) -> None:
    await send(system.settings, ORDER_PAID, [order(100, "reader")])
    async with cache_of(system.settings) as cache:

        async def is_cached() -> bool:
            return await cache.read("reader") is not None

        await until(is_cached)
    await until(says(system.api, READY, 200))
    before = await system.api.values("pointstream_cache_reads_total", "result")
    assert [await system.balance("reader") for _ in range(3)] == [200] * 3
    assert await system.balance("nobody") == 404
    after = await system.api.values("pointstream_cache_reads_total", "result")
    assert {result: after[result] - before.get(result, 0) for result in ("hit", "miss")} == {"hit": 3, "miss": 1}
    assert await system.api.value("pointstream_pool_wait_seconds_count") >= 1


async def test_every_metric_is_exposed_by_the_processes_that_it_names_and_no_other(
    system: System, until: Until
) -> None:
    await send(system.settings, ORDER_PAID, [order(200)])
    await until(grows(system.expiry, 0, "pointstream_circulation_points", wallet="points", bucket="available"))
    for process, watched in system.processes.items():
        families = await watched.families()
        declared = {metric.name.removesuffix("_total"): metric for metric in DECLARED if process in metric.processes}
        assert {name for name in families if not name.startswith("process_")} == set(declared)
        for name, metric in declared.items():
            family = families[name]
            assert family.type == type(metric.collector).__name__.lower()
            assert family.documentation == metric.says
            assert family.samples
            for sample in family.samples:
                assert set(sample.labels) - {"le"} == set(metric.labels)
                for label, values in metric.labels.items():
                    allowed = ["points", "growth"] if isinstance(values, str) else values
                    assert sample.labels[label] in allowed
    assert {process for metric in DECLARED for process in metric.processes} == set(system.processes)


@pytest.mark.parametrize("metric", DECLARED, ids=lambda metric: metric.name)
def test_a_name_says_what_it_counts_and_in_which_unit(metric: Declared) -> None:
    name, kind = metric.name, type(metric.collector).__name__
    assert name.startswith("pointstream_")
    assert name.endswith("_total") == (kind == "Counter")
    units = ("_seconds", "_events", "_postings", "_points", "_partitions", "_info")
    assert name.endswith(units) or kind == "Counter"
    assert metric.says.endswith(".")
    assert metric.advice.endswith(".")


async def test_without_postgresql_nobody_is_ready_and_all_recover(system: System, until: Until) -> None:
    processes = list(system.processes.values())
    for watched in processes:
        await until(says(watched, READY, 200))
    before = [await watched.value("pointstream_reconnects_total", server="postgresql") for watched in processes]
    await system.postgres.shut()
    await send(system.settings, ORDER_PAID, [order(300, "late")])
    for watched, reconnects in zip(processes, before, strict=True):
        answer = await watched.get(READY)
        assert (answer.status_code, answer.json()["status"]) == (503, "not ready")
        assert "away" in answer.json()["checks"]["ledger"]
        assert (await watched.get(LIVE)).status_code == 200
        if watched is system.api:
            assert await system.balance("nobody") == 503
        await until(grows(watched, reconnects, "pointstream_reconnects_total", server="postgresql"))
    # The event that waits is getting older, and so is what the inputs have passed.
    await until(grows(system.earn, 0.5, "pointstream_event_lag_seconds"))
    await until(grows(system.expiry, 0.5, "pointstream_watermark_lag_seconds"))
    await system.postgres.open()
    for watched in processes:
        await until(says(watched, READY, 200))

    async def is_posted() -> bool:
        return bool(await system.ledger.fetchval("SELECT count(*) FROM accounts WHERE member_id = 'late'"))

    await until(is_posted)
    await until(shows(system.earn, 0, "pointstream_event_lag_seconds"))


async def test_without_redis_the_api_is_degraded_and_says_so(system: System, until: Until) -> None:
    await until(says(system.api, READY, 200))
    away = await system.api.value("pointstream_cache_reads_total", result="away")
    await system.redis.shut()
    assert await system.balance("nobody") == 404
    answer = await system.api.get(READY)
    assert (answer.status_code, answer.json()) == (
        200,
        {"status": "degraded", "checks": {"ledger": "ok", "cache": "away"}},
    )
    assert await system.api.value("pointstream_cache_reads_total", result="away") == away + 1
    assert await system.api.value("pointstream_reconnects_total", server="redis") >= 1
    await until(grows(system.publisher, 0, "pointstream_reconnects_total", server="redis"))
    await system.redis.open()

    async def is_well() -> bool:
        return bool((await system.api.get(READY)).json()["status"] == "ready")

    await until(is_well)


async def test_a_worker_without_partitions_is_ready_to_take_over(make_installation: Make, until: Until) -> None:
    settings = await make_installation(topics=True, shards=1)
    workers = [ingest(settings), ingest(settings)]
    first = await workers[0].readiness()
    assert (first.status, first.checks["partitions"]) == (Status.NOT_READY, "not claimed yet")
    async with running(*workers):

        async def all_ready() -> bool:
            return [(await worker.readiness()).status for worker in workers] == [Status.READY] * 2

        async def one_idle() -> bool:
            return (
                sorted(len(worker.claim.positions) for worker in workers) == [0, len(CONTRACTS)] and await all_ready()
            )

        await until(one_idle)


async def always_ready() -> Readiness:
    return Readiness(Status.READY, {})


@asynccontextmanager
async def monitoring(port: int = 0, silence_s_max: float = 10.0) -> AsyncIterator[Monitor]:
    monitor = Monitor(Process.EARN, port, always_ready, silence_s_max)
    await monitor.start()
    try:
        yield monitor
    finally:
        await monitor.stop()


async def test_a_loop_that_does_not_turn_is_not_alive(until: Until) -> None:
    over, failures = threading.Event(), []

    def probe(url: str) -> None:
        while not (over.is_set() or failures):
            try:
                urlopen(url + LIVE).close()  # noqa: S310 - a server of ours
            except HTTPError as error:
                failures.append(error.code)
                error.close()
        over.set()

    async with monitoring(silence_s_max=1.0) as monitor:
        await until(says(Watched(monitor.url), LIVE, 200))
        prober = threading.Thread(target=probe, args=(monitor.url,))
        prober.start()
        over.wait(timeout=30)  # The loop stands still here until the probe has seen it.
        over.set()
        prober.join()
        assert failures == [503]
        await until(says(Watched(monitor.url), LIVE, 200))


async def test_a_readiness_that_never_comes_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.monitor.READY_WAIT_S", 0.1)

    async def never() -> Readiness:
        await asyncio.Event().wait()
        raise AssertionError

    monitor = Monitor(Process.EARN, 0, never)
    await monitor.start()
    try:
        answer = await Watched(monitor.url).get(READY)
    finally:
        await monitor.stop()
    assert (answer.status_code, answer.json()["checks"]) == (503, {"loop": "has not answered within 0.1 s"})


async def test_where_a_port_is_taken_a_free_one_is_used() -> None:
    async with monitoring() as first:
        port = urlsplit(first.url).port or 0
        async with monitoring(port) as second:
            assert first.url != second.url
            for url in (first.url, second.url):
                assert url.startswith("http://127.0.0.1:")
                assert (await Watched(url).get(READY)).status_code == 200
                assert (await Watched(url).get("/")).status_code == 404


@pytest.mark.parametrize("worker", [Process.EARN, Process.API])
async def test_a_port_that_was_chosen_and_is_taken_keeps_the_process_from_starting(
    settings: Settings, worker: Process
) -> None:
    setting = f"POINTSTREAM_{worker.upper()}_METRICS_PORT"
    async with monitoring() as first:
        port = str(urlsplit(first.url).port)
        child = await asyncio.create_subprocess_exec(
            *PYTHON,
            "-m",
            "services.cli.main",
            "run",
            worker,
            env={**os.environ, **as_environment(settings), "POINTSTREAM_API_PORT": "0", setting: port},
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            _, errors = await asyncio.wait_for(child.communicate(), 60)
        finally:
            if child.returncode is None:
                child.kill()
    assert child.returncode == 1
    *_, last = errors.decode().splitlines()
    assert last.startswith(f"port {port} of 127.0.0.1 cannot be listened on (")
    assert last.endswith(f"; set {setting} to a free one, another for each worker")


async def post_orders(ledger: Pool, count: int, start: int = 0) -> None:
    programs = await load_programs(ledger)
    events = [consumed(f"o-{number}", f"member-{number % 10}") for number in range(start, start + count)]
    await post(ledger, Batch(events=events), programs, SHARDS)


async def test_the_journals_tail_is_what_stands_behind_the_published_positions(ledger: Pool) -> None:
    publisher = registry_of(Process.PUBLISHER)
    await post_orders(ledger, 40)
    heads = {Shard(row["shard"]): row["pos"] for row in await ledger.fetch("SELECT shard, pos FROM shard_heads")}
    await measure_tail(ledger, [heads])
    assert publisher.get_sample_value("pointstream_journal_tail_postings") == 0
    assert publisher.get_sample_value("pointstream_journal_tail_age_seconds") == 0
    behind = {shard: max(0, pos - 3) for shard, pos in heads.items()}
    await measure_tail(ledger, [{shard: pos} for shard, pos in behind.items()])
    assert publisher.get_sample_value("pointstream_journal_tail_postings") == sum(heads.values()) - sum(behind.values())
    assert publisher.get_sample_value("pointstream_journal_tail_age_seconds") > 0
    await measure_tail(ledger, [heads, {}])
    assert isnan(publisher.get_sample_value("pointstream_journal_tail_postings"))
    assert isnan(publisher.get_sample_value("pointstream_journal_tail_age_seconds"))


async def scanned(ledger: Pool) -> dict[tuple[str, str], int]:
    """The points of every wallet and bucket, counted from all accounts."""
    rows = await ledger.fetch(
        """SELECT wallet, bucket, sum(points::bigint)::bigint AS points
           FROM accounts, json_each(balances) AS w (wallet, buckets), json_each_text(buckets) AS b (bucket, points)
           GROUP BY wallet, bucket"""
    )
    return {(row["wallet"], row["bucket"]): row["points"] for row in rows}


async def counted(ledger: Pool) -> dict[tuple[str, str], int]:
    """The same as it was counted behind the journal."""
    rows = await ledger.fetch(
        "SELECT wallet, bucket, sum(points)::bigint AS points FROM circulation GROUP BY wallet, bucket"
    )
    return {(row["wallet"], row["bucket"]): row["points"] for row in rows}


async def test_points_in_circulation_are_those_of_all_accounts(ledger: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted in pieces, by two workers at once, and again after more was posted and some of it has expired."""
    monkeypatch.setattr("shared.ledger.circulation.POSTINGS_PER_SHARD_MAX", 3)
    for start in (0, 60):
        await post_orders(ledger, 60, start)
        await asyncio.gather(count_circulation(ledger), count_circulation(ledger))
        await count_circulation(ledger)
        assert await counted(ledger) == await scanned(ledger)
        assert (await counted(ledger))["points", "available"] == (start + 60) * 10
    half = [Sweep(MemberId(f"member-{number}"), Instant(NOON + 300 * DAY_US)) for number in range(5)]
    await post(ledger, Batch(sweeps=half), await load_programs(ledger), SHARDS)
    await count_circulation(ledger)
    assert await counted(ledger) == await scanned(ledger)
    shown = registry_of(Process.EXPIRY).get_sample_value(
        "pointstream_circulation_points", {"wallet": "points", "bucket": "available"}
    )
    assert shown == 600
