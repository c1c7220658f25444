"""`pointstream verify` holds Redis against the journal, each balance by its own version."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from redis.asyncio import Redis

from shared.cache.balances import BalanceCache, CachedBalance, ShardNews
from shared.domain.ids import Shard
from shared.ledger.database import Role
from shared.settings import Settings
from shared.setup import open_ledger
from tests.integration.verify.verifying import ALICE, SHARD, Verify, cache_of
from tests.support.installing import Make


async def alice_in_redis(cache: BalanceCache) -> CachedBalance:
    found = await cache.read(ALICE)
    assert found is not None
    return found


async def put(settings: Settings, balance: CachedBalance) -> None:
    """Put a balance into Redis, whatever is there."""
    async with cache_of(settings) as cache:
        await remove(settings)
        at = (await cache.cursors([SHARD]))[SHARD]
        assert at is not None
        await cache.refill(balance, at)


async def remove(settings: Settings) -> None:
    redis: Redis = Redis.from_url(settings.redis)
    try:
        await redis.delete(f"{{{settings.installation}:{SHARD}}}:balance:{ALICE}")
    finally:
        await redis.aclose()


@pytest.fixture
async def cached(real: Settings) -> AsyncIterator[CachedBalance]:
    """What Redis has of alice; afterwards it has that again."""
    async with cache_of(real) as cache:
        before = await alice_in_redis(cache)
    yield before
    await put(real, before)


async def test_another_balance_in_redis_is_found(real: Settings, cached: CachedBalance, verified: Verify) -> None:
    await put(real, replace(cached, balances=b'{"points":{"issued":-1,"available":1}}'))
    found = await verified()
    assert (found.code, found.wrong) == (1, {"redis"})
    assert found.sentences("redis")[0].startswith("member alice: Redis shows ")
    assert found.differences[0]["more"] == f"pointstream member alice --installation {real.installation}"
    assert "redis" not in (await verified("--no-redis")).checks


async def test_another_due_instant_in_redis_is_found(real: Settings, cached: CachedBalance, verified: Verify) -> None:
    await put(real, replace(cached, next_due_at=None))
    found = await verified()
    assert found.wrong == {"redis"}
    assert found.sentences("redis") == [
        "member alice: Redis shows another next due instant at version 6 than the journal"
    ]


async def test_a_slice_looks_at_whom_was_posted_to_in_it(
    real: Settings, cached: CachedBalance, verified: Verify
) -> None:
    async with open_ledger(real, Role.READER) as pool:
        last = await pool.fetchval("SELECT max(pos) FROM postings WHERE member_id = 'alice'")
    await put(real, replace(cached, next_due_at=None))
    assert (await verified("--since", str(last - 1), "--no-topic")).wrong == {"redis"}
    assert (await verified("--since", str(last), "--no-topic")).wrong == set()


async def test_what_redis_may_be(real: Settings, cached: CachedBalance, verified: Verify) -> None:
    """Nothing at all; older, with what the journal says of that version; or newer than the moment that is looked at."""
    await remove(real)
    assert (await verified()).wrong == set()
    async with open_ledger(real, Role.READER) as pool:
        third = await pool.fetchrow(
            "SELECT next_due_at, balances FROM postings WHERE member_id = 'alice' AND version = 3"
        )
    assert third is not None
    await put(real, CachedBalance(ALICE, 3, third["next_due_at"], third["balances"]))
    assert (await verified()).wrong == set()
    await put(real, CachedBalance(ALICE, 7, None, b"{}"))
    assert (await verified()).wrong == set()
    await put(real, CachedBalance(ALICE, 3, third["next_due_at"], cached.balances))
    assert (await verified()).wrong == {"redis"}


async def test_a_redis_that_is_ahead_of_the_ledger_is_found(make_installation: Make, verified: Verify) -> None:
    ahead = await make_installation(topics=True)
    async with cache_of(ahead) as cache:
        await cache.apply([ShardNews(Shard(2), 0, 5, [])])
    found = await verified(settings=ahead)
    assert (found.code, found.wrong) == (1, {"redis"})
    assert found.sentences("redis") == ["shard 2: Redis has applied the journal up to position 5, but it ends at 0"]
