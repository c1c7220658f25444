"""What the tests of `pointstream verify` share: an installation that workers filled, and what the command says."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import typer
from typer.testing import CliRunner, Result

from services.cli.verify.command import command
from shared.cache.balances import BalanceCache
from shared.clock import wall_clock
from shared.domain.ids import MemberId, Shard
from shared.ledger.database import Pool
from shared.ledger.sharding import shard_of
from shared.settings import Settings
from tests.support.orders import data_of, event_of
from tests.support.running import published

SHARDS = 4
ALICE = MemberId("alice")
SHARD = shard_of(ALICE, SHARDS)
MEMBERS = (ALICE, *(f"member-{number}" for number in range(9)))
ORDERS = 60

app = typer.Typer()
app.command()(command)


async def invoke(settings: Settings, *arguments: str, home: Path) -> Result:
    """Run the command as a process of its own would: with no event loop around it."""
    servers = {name: getattr(settings, name) for name in ("kafka", "postgres", "redis", "installation")}
    environment = {f"POINTSTREAM_{name.upper()}": value for name, value in servers.items()}
    runner = CliRunner(env={"COLUMNS": "300", "POINTSTREAM_HOME": str(home), **environment})
    return await asyncio.to_thread(lambda: runner.invoke(app, arguments))


class Found:
    """What the command said as JSON."""

    def __init__(self, result: Result) -> None:
        assert result.exit_code in {0, 1}, result.output
        self.code = result.exit_code
        self.document: dict[str, Any] = orjson.loads(result.stdout)
        self.checks = {check["check"]: check for check in self.document["checks"]}
        self.wrong = {name for name, check in self.checks.items() if check["found"]}
        self.differences: list[dict[str, str]] = self.document["differences"]

    def sentences(self, check: str) -> list[str]:
        return [difference["sentence"] for difference in self.differences if difference["check"] == check]


Verify = Callable[..., Awaitable[Found]]
Plant = Callable[[str], Awaitable[None]]


def event(number: int, **changes: object) -> dict[str, object]:
    """Order `number`, of one member after the other: a line of 10.00, and one of 20.00 of the house brand."""
    data = data_of(f"o-{number}", MEMBERS[number % len(MEMBERS)], [1000], at=wall_clock())
    data["lines"].append(data["lines"][0] | {"line_id": "2", "brand": "Private", "list_price": 2000, "paid": 2000})
    return event_of(data | {"paid": 3000, **changes})


async def wait_for(holds: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(60):
        while not await holds():
            await asyncio.sleep(0.05)


async def is_done(settings: Settings, ledger: Pool, events: int) -> bool:
    """Whether so many events were consumed, and all of their postings are in Kafka and Redis."""
    if await ledger.fetchval("SELECT count(*) FROM consumed_events") < events:
        return False
    heads = {row["shard"]: row["pos"] for row in await ledger.fetch("SELECT shard, pos FROM shard_heads")}
    async with cache_of(settings) as cache:
        cursors = await cache.cursors([Shard(shard) for shard in range(SHARDS)])
    if any((cursors[Shard(shard)] or 0) < head for shard, head in heads.items()):
        return False
    return len(await published(settings, SHARDS)) == sum(heads.values())


@asynccontextmanager
async def cache_of(settings: Settings) -> AsyncIterator[BalanceCache]:
    cache = BalanceCache(settings.redis, settings.installation, SHARDS)
    try:
        yield cache
    finally:
        await cache.close()
