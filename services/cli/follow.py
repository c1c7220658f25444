"""Following events through the installation: how many were sent, posted and published."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition

from shared.cache.balances import BalanceCache
from shared.domain.ids import Shard
from shared.domain.time import Instant
from shared.ledger import statements
from shared.ledger.database import Pool, Role, open_pool
from shared.settings import Settings
from shared.stream.topics import INPUTS, PUBLISHED, SHARES

LOOK_EVERY_S = 0.5


@dataclass(frozen=True, slots=True)
class Standing:
    """Where everything stands at one moment: events in the log and read, postings made, published and cached."""

    events: int
    read: int
    postings: int
    published: int
    cached: int

    @property
    def done(self) -> bool:
        """Whether everything that was sent has come out at the other end."""
        return self.read >= self.events and self.published >= self.postings and self.cached >= self.postings


class Follower:
    """Looks at the log, the ledger, the published positions and Redis."""

    def __init__(self, settings: Settings, shards: int) -> None:
        self._settings = settings
        self._shards: Sequence[Shard] = [Shard(shard) for shard in range(shards)]
        self._cache = BalanceCache(settings.redis, settings.installation, shards)
        self._consumer = AIOKafkaConsumer(bootstrap_servers=settings.kafka, isolation_level="read_committed")
        self._published: dict[str, int] = {}
        self._pool: Pool | None = None

    async def __aenter__(self) -> Self:
        self._pool = await open_pool(self._settings.database, Role.READER)
        await self._consumer.start()
        self._consumer.assign([TopicPartition(self._settings.topic(PUBLISHED), share) for share in range(SHARES)])
        await self._consumer.seek_to_beginning()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._consumer.stop()
        await self._cache.close()
        if self._pool is not None:
            self._pool.terminate()

    async def look(self) -> Standing:
        """Where everything stands now. What is upstream is looked at last, so that `done` is never said too early."""
        pool = self._opened
        cached = sum(position or 0 for position in (await self._cache.cursors(self._shards)).values())
        published = await self._read_published()
        postings = await pool.fetchval("SELECT sum(pos)::bigint FROM shard_heads")
        read = await pool.fetchval("SELECT coalesce(sum(next_offset), 0)::bigint FROM consumer_offsets")
        return Standing(sum((await self.ends()).values()), read, postings, published, cached)

    async def ends(self) -> dict[TopicPartition, int]:
        """How far the log has come, by partition of each input."""
        topics = [self._settings.topic(name) for name in INPUTS]
        partitions = [TopicPartition(topic, shard) for topic in topics for shard in self._shards]
        return dict(await self._consumer.end_offsets(partitions))

    async def until_done(self, settled_to: Instant | None = None) -> None:
        """Wait until all is read, published and cached, and until nothing is due any more by `settled_to`."""
        while not (await self._settled(settled_to) and (await self.look()).done):
            await asyncio.sleep(LOOK_EVERY_S)

    async def _settled(self, until: Instant | None) -> bool:
        if until is None:
            return True
        standing = await self.look()
        if standing.read < standing.events:
            return False
        return not await self._opened.fetch(statements.FIND_DUE_ACCOUNTS, self._shards, until, 1)

    async def _read_published(self) -> int:
        while found := await self._consumer.getmany(timeout_ms=0):
            for records in found.values():
                self._published.update(orjson.loads(records[-1].value))
        return sum(self._published.values())

    @property
    def _opened(self) -> Pool:
        if self._pool is None:
            raise RuntimeError("use a Follower in `async with`")
        return self._pool
