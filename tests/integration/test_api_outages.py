"""What readers get while PostgreSQL or Redis is away, and how the API comes up, recovers and stops."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import httpx
import pytest

from deploy.stack.ports import free_ports
from shared.ledger.batch import Batch
from shared.settings import Settings
from tests.integration.reading import HandClock, answers, api, balance_path, paid, post_all, statement_path, until
from tests.integration.relay import Relay

ORDER = paid("M-1", "A-1", "2026-03-10T15:00:00Z", 5900)
NEXT_DAY = HandClock("2026-03-11T00:00:00Z")
STOP_S = 10.0


@pytest.fixture
async def relay(settings: Settings) -> AsyncIterator[Relay]:
    """Stands between the API and PostgreSQL, and is shut."""
    server = urlsplit(settings.postgres)
    async with Relay(server.hostname or "", server.port or 0) as relay:
        yield relay


@pytest.fixture
def through_relay(settings: Settings, relay: Relay) -> Settings:
    """The installation as it is seen through the relay."""
    server = urlsplit(settings.postgres)
    credentials = server.netloc.rpartition("@")[0]
    address = server._replace(netloc=f"{credentials}@127.0.0.1:{relay.port}")
    return settings.model_copy(update={"postgres": address.geturl()})


async def test_reads_go_to_the_ledger_while_redis_is_away(settings: Settings, relay: Relay) -> None:
    await post_all(settings, Batch(events=[ORDER]))
    without = settings.model_copy(update={"redis": f"redis://127.0.0.1:{relay.port}/0"})
    async with api(without, NEXT_DAY) as client:
        for _ in range(3):
            answer = await client.get(balance_path("M-1"))
            assert answer.headers["X-Balance-Source"] == "ledger"
            assert answer.json()["wallets"]["points"]["available"] == 59
        ready = await client.get("/health/ready")
    assert (ready.status_code, ready.json()) == (
        200,
        {"status": "degraded", "checks": {"ledger": "ok", "cache": "away"}},
    )


async def test_the_cache_is_used_again_when_redis_is_back(settings: Settings) -> None:
    await post_all(settings, Batch(events=[ORDER]))
    server = urlsplit(settings.redis)
    async with Relay(server.hostname or "", server.port or 6379) as relay:
        address = server._replace(netloc=f"127.0.0.1:{relay.port}").geturl()
        async with api(settings.model_copy(update={"redis": address}), NEXT_DAY) as client:
            assert (await client.get(balance_path("M-1"))).headers["X-Balance-Source"] == "ledger"
            await relay.open()

            async def cached() -> bool:
                return (await client.get(balance_path("M-1"))).headers["X-Balance-Source"] == "cache"

            await until(cached)
            await relay.shut()
            assert (await client.get(balance_path("M-1"))).headers["X-Balance-Source"] == "ledger"


async def test_the_api_starts_before_postgresql_and_recovers(
    settings: Settings, through_relay: Settings, relay: Relay
) -> None:
    await post_all(settings, Batch(events=[ORDER]))
    async with api(through_relay, NEXT_DAY, ready=False) as client:
        assert (await client.get("/health/live")).json() == {"status": "alive"}
        for path in ("/health/ready", balance_path("M-1"), statement_path("M-1")):
            assert_away(await client.get(path))

        await relay.open()
        await until(lambda: answers(client, "/health/ready", 200))
        assert (await client.get(balance_path("M-1"))).headers["X-Balance-Source"] == "ledger"

        await relay.shut()
        # What Redis holds is still answered; the rest says what is missing.
        assert (await client.get(balance_path("M-1"))).headers["X-Balance-Source"] == "cache"
        for path in ("/health/ready", balance_path("M-2"), statement_path("M-1")):
            assert_away(await client.get(path))

        await relay.open()
        await until(lambda: answers(client, statement_path("M-1"), 200))
        assert (await client.get("/health/ready")).json()["status"] == "ready"


def assert_away(answer: httpx.Response) -> None:
    assert answer.status_code == 503
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert int(answer.headers["Retry-After"]) >= 1
    assert answer.json()["type"] == "/problems/ledger-unavailable"


async def test_an_installation_that_is_not_made_yet_is_named(settings: Settings) -> None:
    async with api(settings.model_copy(update={"installation": "nowhere"}), NEXT_DAY, ready=False) as client:

        async def says_so() -> bool:
            return "nowhere" in (await client.get("/health/ready")).json()["detail"]

        await until(says_so)


async def test_the_process_answers_and_ends_on_sigterm(settings: Settings) -> None:
    await post_all(settings, Batch(events=[paid("a/b", "A-1", "2026-03-10T15:00:00Z", 5900)]))
    (port,) = free_ports(1)
    process = await run_api(settings, port)
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:

            async def is_up() -> bool:
                try:
                    return await answers(client, "/health/ready", 200)
                except httpx.ConnectError:
                    return False

            await until(is_up)
            assert (await client.get(balance_path("a/b"))).json()["member_id"] == "a/b"
            # The client's connection is still open: that must not hold it up.
            process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(STOP_S):
                assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_a_taken_port_is_said(settings: Settings) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        process = await run_api(settings, port)
        _, errors = await asyncio.wait_for(process.communicate(), STOP_S)
    assert process.returncode == 1
    assert f"port {port} of 127.0.0.1" in errors.decode()
    assert "POINTSTREAM_API_PORT" in errors.decode()


async def run_api(settings: Settings, port: int) -> asyncio.subprocess.Process:
    environment = {
        "POINTSTREAM_INSTALLATION": settings.installation,
        "POINTSTREAM_POSTGRES": settings.postgres,
        "POINTSTREAM_REDIS": settings.redis,
        "POINTSTREAM_API_PORT": str(port),
    }
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        "from services.api.app import run; from shared.settings import Settings; run(Settings())",
        env={**os.environ, **environment},
        stderr=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
    )
