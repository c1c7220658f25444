"""What the tests of reads share: orders that are posted, a clock in the hand, and a served API."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from urllib.parse import quote

import httpx

from services.api.app import create_app
from shared.cache.balances import BalanceCache
from shared.domain.time import Instant, instant_of
from shared.ledger.batch import Batch, Consumed
from shared.ledger.database import Role
from shared.ledger.installation import read_installation
from shared.ledger.post import post
from shared.ledger.programs import load_programs
from shared.settings import Settings
from shared.setup import open_ledger
from tests.support.orders import consumed

WAIT_S = 15.0


def at(text: str) -> Instant:
    """The instant of an RFC 3339 text."""
    return instant_of(datetime.fromisoformat(text))


class HandClock:
    """Tells the time that was set."""

    def __init__(self, now: str) -> None:
        self.now = now

    def __call__(self) -> Instant:
        return at(self.now)


def paid(member_id: str, order_id: str, when: str, cents: int, brand: str = "National") -> Consumed:
    """An order of one line, read as soon as it was paid."""
    return consumed(order_id, member_id, (cents,), at(when), event_id=f"{member_id}/{order_id}", brand=brand)


async def post_all(settings: Settings, batch: Batch) -> None:
    """Post a batch as a worker does."""
    async with open_ledger(settings, Role.WRITER) as pool:
        async with pool.acquire() as connection:
            programs, installation = await load_programs(connection), await read_installation(connection)
        await post(pool, batch, programs, installation.shards)


@asynccontextmanager
async def cache_of(settings: Settings) -> AsyncIterator[BalanceCache]:
    """The installation's balances in Redis."""
    async with open_ledger(settings, Role.READER) as pool:
        installation = await read_installation(pool)
    cache = BalanceCache(settings.redis, settings.installation, installation.shards)
    try:
        yield cache
    finally:
        await cache.close()


@asynccontextmanager
async def api(settings: Settings, clock: Callable[[], Instant], ready: bool = True) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the API, by default when it is ready."""
    app = create_app(settings, clock)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://api") as client,
    ):
        if ready:
            await until(lambda: answers(client, "/health/ready", 200))
        yield client


async def answers(client: httpx.AsyncClient, path: str, status: int) -> bool:
    """Whether a path is answered with a status."""
    return (await client.get(path)).status_code == status


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    """Wait for a condition, and fail when it does not come true."""
    async with asyncio.timeout(WAIT_S):
        while not await holds():
            await asyncio.sleep(0.02)


def balance_path(member_id: str) -> str:
    return f"/v1/members/{quote(member_id, safe='')}/balance"


def statement_path(member_id: str) -> str:
    return f"/v1/members/{quote(member_id, safe='')}/statement"
