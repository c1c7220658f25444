"""A stand-in for Redis: the bulk script's contract, flushes and old snapshots. A test holds them against each other."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from copy import deepcopy
from typing import Any

from redis.exceptions import ConnectionError as RedisConnectionError

from tests.simulation.world import BrokenPromiseError, World

Hash = dict[str, bytes]


def connection_lost() -> BaseException:
    """What redis-py raises when Redis is away."""
    return RedisConnectionError("Redis is away")


class RedisServer:
    """The data: cursors and hashes by key."""

    guarded = True
    """Whether only a newer version replaces an older one; a planted bug turns it off."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.cursors: dict[str, int] = {}
        self.hashes: dict[str, Hash] = {}
        self.away = False
        self._snapshot: tuple[dict[str, int], dict[str, Hash]] = ({}, {})

    def snapshot(self) -> None:
        """Keep what is there now."""
        self._snapshot = deepcopy((self.cursors, self.hashes))

    def restore(self) -> None:
        """Come back with what was kept last."""
        self.cursors, self.hashes = deepcopy(self._snapshot)

    def flush(self) -> None:
        """Forget everything."""
        self.cursors, self.hashes = {}, {}

    def write(self, keys: Sequence[str], arguments: Sequence[Any]) -> int:
        """The contract of `write_balances.lua`."""
        after, last = int(arguments[0]), int(arguments[1])
        cursor = self.cursors.get(keys[0], after)
        if last >= 0 and cursor < after:
            return cursor
        if (after if last < 0 else last) < cursor:
            return cursor
        for number, key in enumerate(keys[1:]):
            version, due, balances = arguments[2 + 3 * number : 5 + 3 * number]
            known = self.hashes.get(key)
            if known is None or not self.guarded or int(known["version"]) < int(version):
                if known is not None and int(known["version"]) > int(version):
                    raise BrokenPromiseError(
                        f"Redis shows version {version} over version {int(known['version'])} of {key}"
                    )
                self.hashes[key] = {
                    "version": str(version).encode(),
                    "next_due_at": str(due).encode(),
                    "balances": balances,
                }
        reached = max(cursor, last)
        if reached > cursor or keys[0] not in self.cursors:
            self.cursors[keys[0]] = reached
        return reached


class Redis:
    """redis-py's client, as far as the cache uses it."""

    def __init__(self, server: RedisServer) -> None:
        self._server = server

    def register_script(self, script: str) -> Any:
        async def run(keys: list[str], args: list[Any], client: "Pipeline") -> None:
            client.commands.append((keys, args))

        return run

    @asynccontextmanager
    async def pipeline(self, transaction: bool) -> AsyncIterator["Pipeline"]:
        yield Pipeline(self._server)

    async def mget(self, keys: list[str]) -> list[bytes | None]:
        def get() -> list[bytes | None]:
            _check(self._server)
            found = [self._server.cursors.get(key) for key in keys]
            return [None if value is None else b"%d" % value for value in found]

        values: list[bytes | None] = await self._server.world.operate("Redis: cursors", get, lost=connection_lost)
        return values

    async def hmget(self, key: str, *fields: str) -> list[bytes | None]:
        def get() -> list[bytes | None]:
            _check(self._server)
            known = self._server.hashes.get(key, {})
            return [known.get(field) for field in fields]

        values: list[bytes | None] = await self._server.world.operate("Redis: read", get, lost=connection_lost)
        return values

    async def aclose(self) -> None:
        """Nothing to close."""


class Pipeline:
    """Scripts that are sent together and run one after the other."""

    def __init__(self, server: RedisServer) -> None:
        self.commands: list[tuple[list[str], list[Any]]] = []
        self._server = server

    async def execute(self) -> list[int]:
        return [await self._run(keys, arguments) for keys, arguments in self.commands]

    async def _run(self, keys: list[str], arguments: list[Any]) -> int:
        def write() -> int:
            _check(self._server)
            return self._server.write(keys, arguments)

        reached: int = await self._server.world.operate(f"Redis: write {keys[0]}", write, lost=connection_lost)
        return reached


def _check(server: RedisServer) -> None:
    if server.away:
        raise connection_lost()
