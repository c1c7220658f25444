"""The servers of the fault tests: a local stack of their own, whose servers are killed and started again."""

import asyncio
import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from redis.asyncio import Redis

from deploy.stack import Addresses, Server
from deploy.stack.local import Local
from deploy.stack.process import find
from deploy.stack.state import State, load
from tests.fault.waiting import until

ALL_SERVERS = frozenset(Server)


class Servers:
    """Kafka, PostgreSQL and Redis in one folder."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._local = Local(root, Path.cwd())
        self.addresses = self._find()

    def _find(self) -> Addresses:
        found = {server.value: self._local.address(server) or "" for server in Server}
        return Addresses(**found)

    async def kill(self, server: Server) -> None:
        """SIGKILL its main process, and wait until it is gone."""
        process = load_or_fail(self._root).processes[server]
        os.kill(process.pid, signal.SIGKILL)

        async def gone() -> bool:
            return find(process) is None

        await until(gone, f"{server} is gone")

    async def start(self) -> None:
        """Start what does not run, on its old ports and with its old data."""
        said: list[str] = []
        await asyncio.to_thread(self._local.up, ALL_SERVERS, said.append)
        if self._find() != self.addresses:
            raise RuntimeError(f"a server came back at another address: {said}")

    @contextmanager
    def frozen(self, server: Server) -> Iterator[None]:
        """Freeze it with all its processes for as long as the block lasts: it is there, and does not answer."""
        main = psutil.Process(load_or_fail(self._root).processes[server].pid)
        processes = [main, *main.children(recursive=True)]
        for process in processes:
            process.suspend()
        try:
            yield
        finally:
            for process in processes:
                process.resume()

    async def save_redis(self) -> Path:
        """Let Redis write a snapshot, and keep it aside."""
        redis = Redis.from_url(self.addresses.redis)
        await redis.save()
        await redis.aclose()
        return Path(shutil.move(self._snapshot, self._snapshot.with_suffix(".kept")))

    def give_redis(self, kept: Path) -> None:
        """Make a snapshot that which Redis reads when it starts."""
        shutil.move(kept, self._snapshot)

    @property
    def _snapshot(self) -> Path:
        return self._root / "redis" / "dump.rdb"


def load_or_fail(root: Path) -> State:
    """What is remembered of the stack."""
    state = load(root)
    if state is None:
        raise RuntimeError(f"{root} has no stack")
    return state


@contextmanager
def brought_up(root: Path) -> Iterator[Servers]:
    """A stack in `root` that goes, with its data, when the block ends."""
    local = Local(root, Path.cwd())
    local.up(ALL_SERVERS, lambda line: None)
    try:
        yield Servers(root)
    finally:
        local.down(wipe=True, say=lambda line: None)
