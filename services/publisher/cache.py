"""Bringing the journal to Redis: beside Kafka and never in its way. Redis itself knows how far it has come."""

import asyncio
from collections.abc import Mapping

import structlog

from services.publisher.positions import Positions, ends_of
from services.publisher.tail import check_not_rolled_back
from shared.cache.balances import CACHE_ERRORS, BalanceCache, CachedBalance, ShardNews
from shared.domain.ids import Shard
from shared.ledger.database import Pool, Record
from shared.ledger.journal import read_postings
from shared.metrics import RECONNECTS, Server
from shared.stream.backoff import Backoff

CHECK_EVERY_S = 1.0
"""How soon it is noticed that Redis came back from an old snapshot while there was nothing to read."""

CATCH_UP_PER_SHARD_MAX = 500

log = structlog.get_logger()


class CacheTail:
    """Keeps Redis where one share has read the journal. An outage of Redis is logged, waited for and made up."""

    def __init__(self, cache: BalanceCache, pool: Pool, shards: list[Shard]) -> None:
        self.reached: Positions = {}
        """How far the journal was read: whoever sets it has read from there on."""
        self._cache = cache
        self._pool = pool
        self._shards = shards
        self._applied: Positions | None = None
        self._backoff = Backoff()
        self._again_at_s = 0.0
        self._checked_at_s = 0.0

    async def follow(self, postings: Mapping[Shard, list[Record]]) -> None:
        """Apply the postings that were read next, of the shards that are not behind; the others catch up."""
        await self._follow(postings)
        self.reached |= ends_of(postings)

    async def _follow(self, postings: Mapping[Shard, list[Record]]) -> None:
        applied = await self._where()
        if applied is not None:
            in_step = {shard: group for shard, group in postings.items() if applied[shard] == group[0]["pos"] - 1}
            await self._apply(applied, in_step)
            await self._catch_up(applied)

    async def catch_up(self) -> None:
        """When there is nothing to read: make up for what was missed, and see that Redis still knows everything."""
        applied = await self._where()
        if applied is None:
            return
        await self._catch_up(applied)
        now_s = asyncio.get_running_loop().time()
        if now_s - self._checked_at_s >= CHECK_EVERY_S:
            self._checked_at_s = now_s
            await self._apply(applied, {shard: [] for shard in self._shards})

    async def _where(self) -> Positions | None:
        """How far Redis has come; None while it is away."""
        if asyncio.get_running_loop().time() < self._again_at_s:
            return None
        if self._applied is None:
            try:
                known = await self._cache.cursors(self._shards)
            except CACHE_ERRORS as error:
                self._failed(error)
                return None
            await check_not_rolled_back(
                self._pool, {shard: at for shard, at in known.items() if at is not None}, "Redis"
            )
            # A Redis that knows nothing of a shard has none of its balances either: they are filled when they are read.
            self._applied = {
                shard: self.reached[shard] if (at := known[shard]) is None else at for shard in self._shards
            }
        return self._applied

    async def _catch_up(self, applied: Positions) -> None:
        behind = {shard: pos for shard, pos in applied.items() if pos < self.reached[shard]}
        if behind:
            await self._apply(applied, await read_postings(self._pool, behind, CATCH_UP_PER_SHARD_MAX))

    async def _apply(self, applied: Positions, postings: Mapping[Shard, list[Record]]) -> None:
        news = [
            ShardNews(shard, applied[shard], group[-1]["pos"] if group else applied[shard], _newest(group))
            for shard, group in postings.items()
        ]
        if not news:
            return
        try:
            applied.update(await self._cache.apply(news))
        except CACHE_ERRORS as error:
            self._failed(error)
        else:
            self._backoff.succeeded()

    def _failed(self, error: BaseException) -> None:
        RECONNECTS.labels(Server.REDIS).inc()
        wait_s = self._backoff.next_s()
        self._again_at_s = asyncio.get_running_loop().time() + wait_s
        self._applied = None
        log.warning("Redis is away", error=str(error) or type(error).__name__, again_in_s=wait_s)


def _newest(postings: list[Record]) -> list[CachedBalance]:
    """The last posting of each member."""
    newest = {posting["member_id"]: posting for posting in postings}
    return [
        CachedBalance(posting["member_id"], posting["version"], posting["next_due_at"], posting["balances"])
        for posting in newest.values()
    ]
