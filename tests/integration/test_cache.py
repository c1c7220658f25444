"""Reads of balances that come at once share round trips to Redis, and none is answered with another's."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from shared.cache.balances import CACHE_ERRORS, BalanceCache, CachedBalance, ShardNews
from shared.domain.ids import MemberId
from shared.ledger.sharding import shard_of
from shared.settings import Settings
from tests.integration.relay import Relay

SHARDS = 4
MEMBERS = [MemberId(f"member-{number}") for number in range(200)]


@pytest.fixture
async def cache(settings: Settings) -> AsyncIterator[BalanceCache]:
    made = BalanceCache(settings.redis, settings.installation, SHARDS)
    yield made
    await made.close()


def balance(number: int) -> CachedBalance:
    return CachedBalance(MEMBERS[number], number + 1, None, b'{"points":{"available":%d}}' % number)


async def fill(cache: BalanceCache) -> None:
    """Every other member is in Redis."""
    for number in range(0, len(MEMBERS), 2):
        await cache.apply([ShardNews(shard_of(MEMBERS[number], SHARDS), 0, number + 1, [balance(number)])])


async def test_many_reads_at_once_get_each_its_own(cache: BalanceCache) -> None:
    await fill(cache)
    found = await asyncio.gather(*(cache.read(member_id) for member_id in MEMBERS * 3))
    expected = [balance(number) if number % 2 == 0 else None for number in range(len(MEMBERS))]
    assert found == expected * 3


async def test_a_reader_that_gives_up_takes_nobody_with_it(cache: BalanceCache) -> None:
    await fill(cache)
    reads = [asyncio.create_task(cache.read(member_id)) for member_id in MEMBERS[:20]]
    await asyncio.sleep(0)
    for read in reads[::3]:
        read.cancel()
    found = await asyncio.gather(*reads, return_exceptions=True)
    for number, answer in enumerate(found):
        if number % 3 == 0:
            assert isinstance(answer, asyncio.CancelledError)
        else:
            assert answer == (balance(number) if number % 2 == 0 else None)


async def test_an_outage_is_told_to_all_who_wait_and_ends_with_it(settings: Settings, cache: BalanceCache) -> None:
    await fill(cache)
    host, port = settings.redis.removeprefix("redis://").split("/")[0].split(":")
    async with Relay(host, int(port)) as relay:
        behind = BalanceCache(f"redis://127.0.0.1:{relay.port}", settings.installation, SHARDS)
        failed = await asyncio.gather(*(behind.read(member_id) for member_id in MEMBERS), return_exceptions=True)
        assert all(isinstance(answer, CACHE_ERRORS) for answer in failed)
        await relay.open()
        assert await behind.read(MEMBERS[0]) == balance(0)
        await behind.close()
