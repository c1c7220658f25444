"""How a share reads the journal: no pause while there may be more of it, and no more than it can publish."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from typing import Any

import pytest

import services.publisher.share as share_module
from services.publisher.cache import CacheTail
from services.publisher.share import Read, Share
from shared.cache.balances import BalanceCache
from shared.domain.ids import Shard
from shared.ledger.batch import Batch
from shared.ledger.database import Pool, Record
from shared.ledger.journal import read_postings
from shared.ledger.post import post
from shared.ledger.programs import load_programs
from shared.ledger.sharding import shard_of
from shared.settings import Settings
from tests.support.orders import consumed

SHARDS = 4
FIRST, SECOND = Shard(0), Shard(2)
MEMBERS = {
    shard: next(name for name in map("m-{}".format, range(99)) if shard_of(name, SHARDS) == shard)
    for shard in (FIRST, SECOND)
}


class Pauses:
    """`asyncio` as the share has it, which takes down how long it would pause, and does not."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def __getattr__(self, name: str) -> object:
        return getattr(asyncio, name)

    async def sleep(self, seconds: float) -> None:
        self.seconds.append(seconds)


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> Pauses:
    made = Pauses()
    monkeypatch.setattr(share_module, "asyncio", made)
    return made


@pytest.fixture
async def cache(settings: Settings) -> AsyncIterator[BalanceCache]:
    made = BalanceCache(settings.redis, settings.installation, SHARDS)
    yield made
    await made.close()


async def follow(share: Share) -> None:
    """One look at the journal; what it reads is taken away as if it were published."""
    async with asyncio.timeout(30):
        await share._follow()
    share._read = Read(LOOK)


LOOK = 4
"""Postings that are read at once: two of each shard."""


async def test_what_was_read_to_its_limit_is_read_on_at_once(
    settings: Settings, ledger: Pool, cache: BalanceCache, pauses: Pauses
) -> None:
    """The first shard has five postings, so it is read to its limit twice; then the publisher keeps up, and in the end
    there is nothing."""
    orders = [consumed(f"o-{number}", MEMBERS[FIRST]) for number in range(5)]
    batch = Batch(events=[*orders, consumed("o-5", MEMBERS[SECOND])])
    await post(ledger, batch, await load_programs(ledger), SHARDS)
    tail = CacheTail(cache, ledger, [FIRST, SECOND])
    tail.reached = {FIRST: 0, SECOND: 0}
    paced = {"publish_postings_max": LOOK, "tail_pause_ms": 7_000, "publish_poll_ms": 9_000}
    share = Share(0, [FIRST, SECOND], ledger, tail, settings.model_copy(update=paced))
    for reached, paused_s in [((2, 1), []), ((4, 1), []), ((5, 1), [7]), ((5, 1), [7, 9])]:
        await follow(share)
        assert (tuple(tail.reached.values()), pauses.seconds) == (reached, paused_s)


async def test_each_shard_is_read_however_few_postings_may_be_at_once(
    settings: Settings, ledger: Pool, cache: BalanceCache, pauses: Pauses
) -> None:
    batch = Batch(events=[consumed("o-1", MEMBERS[FIRST]), consumed("o-2", MEMBERS[SECOND])])
    await post(ledger, batch, await load_programs(ledger), SHARDS)
    tail = CacheTail(cache, ledger, [FIRST, SECOND])
    tail.reached = {FIRST: 0, SECOND: 0}
    share = Share(0, [FIRST, SECOND], ledger, tail, settings.model_copy(update={"publish_postings_max": 1}))
    await follow(share)
    assert tail.reached == {FIRST: 1, SECOND: 1}


async def test_what_comes_while_a_transaction_is_under_way_stands_behind_what_waits(
    settings: Settings, ledger: Pool
) -> None:
    first, second = await two_reads(ledger)
    read = Read(99)
    read.add(first)
    read.add(second)
    assert {shard: [row["pos"] for row in rows] for shard, rows in (await read.take()).items()} == {FIRST: [1, 2]}


async def test_no_more_is_read_while_as_much_waits_as_may_until_it_is_taken(settings: Settings, ledger: Pool) -> None:
    first, second = await two_reads(ledger)
    read = Read(2)
    read.add(first)
    assert await ends_now(read.until_room())
    read.add(second)
    assert not await ends_now(read.until_room())
    await read.take()
    assert await ends_now(read.until_room())
    assert not await ends_now(read.take()), "nothing waits"


async def test_whoever_is_woken_waits_no_longer(settings: Settings, ledger: Pool) -> None:
    """As when the share is taken away: one task must not wait for the other, which has ended."""
    first, _ = await two_reads(ledger)
    empty, full = Read(1), Read(1)
    full.add(first)
    empty.wake()
    full.wake()
    assert await ends_now(empty.take())
    assert await ends_now(full.until_room())


async def two_reads(ledger: Pool) -> tuple[dict[Shard, list[Record]], dict[Shard, list[Record]]]:
    """Two postings of a shard, each read by itself."""
    batch = Batch(events=[consumed("o-1", MEMBERS[FIRST]), consumed("o-2", MEMBERS[FIRST])])
    await post(ledger, batch, await load_programs(ledger), SHARDS)
    return await read_postings(ledger, {FIRST: 0}, 1), await read_postings(ledger, {FIRST: 1}, 1)


async def ends_now(waiting: Coroutine[Any, Any, object]) -> bool:
    """Whether something ends without anything else having to happen."""
    task = asyncio.ensure_future(waiting)
    for _ in range(10):
        await asyncio.sleep(0)
    ended = task.done()
    task.cancel()
    return ended
