"""Balances in Redis: a cache that can be flushed at any time and never shows an older version over a newer one.

All keys of a shard carry the same hash tag, so that a shard stays whole on a Redis cluster.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, cast

from hiredis import pack_command
from redis.asyncio import Connection, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from shared.domain.ids import MemberId, Shard
from shared.domain.time import Instant
from shared.ledger.sharding import shard_of

CACHE_ERRORS = (RedisError, OSError, TimeoutError)
"""What says that Redis is away. Reads then go to PostgreSQL, and the publisher tries again."""

SOCKET_TIMEOUT_S = 2.0
"""What the publisher waits for an answer to a batch."""

_SCRIPT = (files("shared.cache") / "write_balances.lua").read_text(encoding="utf-8")
_NO_NEWS = -1
_FIELDS = ("version", "next_due_at", "balances")


@dataclass(slots=True)
class CachedBalance:
    """A member's balances at an account version, as JSON, good until `next_due_at` (None: until the next posting)."""

    member_id: MemberId
    version: int
    next_due_at: Instant | None
    balances: bytes


@dataclass(slots=True)
class ShardNews:
    """The newest balances out of the journal of one shard, from the position `after` (exclusive) to `last`."""

    shard: Shard
    after: int
    last: int
    balances: Sequence[CachedBalance]


class _Connection(Connection):
    """Packs commands in C, as the client does that is not asynchronous. In Python it takes two thirds of a batch."""

    def pack_command(self, *args: Any) -> list[bytes]:
        command, *arguments = args
        return [pack_command((*command.split(), *arguments))]


class BalanceCache:
    """The balances of one installation. Methods raise `CACHE_ERRORS` as they come."""

    def __init__(self, url: str, installation: str, shards: int, timeout_s: float = SOCKET_TIMEOUT_S) -> None:
        """`timeout_s` is what connecting, and each answer, may take. Nothing else may cut a call short: one that is
        cancelled from outside while it connects leaves its socket open."""
        self._redis: Redis = Redis.from_url(
            url,
            connection_class=_Connection,
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
            retry=Retry(NoBackoff(), 1),
            protocol=2,
        )
        self._write = self._redis.register_script(_SCRIPT)
        self._installation = installation
        self._shards = shards
        self._waiting: list[tuple[MemberId, asyncio.Future[CachedBalance | None]]] = []
        self._reading: asyncio.Task[None] | None = None

    async def read(self, member_id: MemberId) -> CachedBalance | None:
        """What is cached of a member; None for a miss.

        Reads that come while others are under way go together in the next round trip: the client costs several times
        what the server does, and so a burst is through sooner.
        """
        answer: asyncio.Future[CachedBalance | None] = asyncio.get_running_loop().create_future()
        self._waiting.append((member_id, answer))
        if self._reading is None:
            self._reading = asyncio.create_task(self._read_waiting())
        return await answer

    async def _read_waiting(self) -> None:
        """Answer the reads that wait, until there are none. All of them meet what one of them meets."""
        try:
            while self._waiting:
                asked, self._waiting = self._waiting, []
                try:
                    found = await self.read_many([member_id for member_id, _ in asked])
                except Exception as error:
                    for _, answer in (*asked, *self._waiting):
                        if not answer.done():
                            answer.set_exception(error)
                    self._waiting = []
                else:
                    for (_, answer), balance in zip(asked, found, strict=True):
                        if not answer.done():  # its reader may have gone
                            answer.set_result(balance)
        finally:
            self._reading = None

    async def read_many(self, members: Sequence[MemberId]) -> list[CachedBalance | None]:
        """What is cached of each member, in one round trip."""
        if len(members) == 1:
            return [_balance(members[0], await cast("Any", self._redis.hmget(self.key(members[0]), *_FIELDS)))]
        async with self._redis.pipeline(transaction=False) as pipeline:
            for member_id in members:
                pipeline.hmget(self.key(member_id), *_FIELDS)
            found = await pipeline.execute()
        return [_balance(member_id, values) for member_id, values in zip(members, found, strict=True)]

    async def refill(self, balance: CachedBalance, position: int) -> None:
        """Put back what a reader missed, unless something newer is there by now.

        `position` is the last one of the shard when the reader read: a Redis that came back empty is told with it from
        where the publisher has to go on, so that nothing is missed between this read and the publisher's return.
        """
        await self._call([ShardNews(shard_of(balance.member_id, self._shards), position, _NO_NEWS, [balance])])

    async def apply(self, news: Sequence[ShardNews]) -> dict[Shard, int]:
        """Write the news of some shards, in one round trip. Returns the cursor of each shard.

        A cursor below a shard's `after` says that this Redis has forgotten something (it came back from an old
        snapshot), and nothing of that shard was written: read the journal again from there.
        """
        cursors = await self._call(news)
        return {item.shard: cursor for item, cursor in zip(news, cursors, strict=True)}

    async def cursors(self, shards: Sequence[Shard]) -> dict[Shard, int | None]:
        """How far each shard's journal has been applied; None where this Redis knows nothing of the shard."""
        if not shards:
            return {}
        values = await cast("Any", self._redis.mget([self._cursor_key(shard) for shard in shards]))
        return {shard: None if value is None else int(value) for shard, value in zip(shards, values, strict=True)}

    async def ping(self) -> None:
        """Answer when Redis does."""
        await cast("Any", self._redis.ping())

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()

    async def _call(self, news: Sequence[ShardNews]) -> list[int]:
        async with self._redis.pipeline(transaction=False) as pipeline:
            for item in news:
                keys = [self._cursor_key(item.shard)]
                arguments: list[int | str | bytes] = [item.after, item.last]
                prefix = self._prefix(item.shard)
                for balance in item.balances:
                    keys.append(prefix + balance.member_id)
                    due = "" if balance.next_due_at is None else balance.next_due_at
                    arguments += [balance.version, due, balance.balances]
                await self._write(keys=keys, args=arguments, client=pipeline)
            return cast("list[int]", await pipeline.execute())

    def key(self, member_id: MemberId) -> str:
        """The key of a member's hash."""
        return self._prefix(shard_of(member_id, self._shards)) + member_id

    def _prefix(self, shard: Shard) -> str:
        return f"{{{self._installation}:{shard}}}:balance:"

    def _cursor_key(self, shard: Shard) -> str:
        return f"{{{self._installation}:{shard}}}:position"


def _balance(member_id: MemberId, values: Sequence[Any]) -> CachedBalance | None:
    version, due, balances = values
    if version is None:
        return None
    return CachedBalance(member_id, int(version), Instant(int(due)) if due else None, balances)
