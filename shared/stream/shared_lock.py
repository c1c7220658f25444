"""A lock that lanes share while they post, and that a rebalance takes alone."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class SharedLock:
    """Many may hold it together, or one alone. Who wants it alone goes before those who come later."""

    def __init__(self) -> None:
        self._door = asyncio.Lock()
        self._holders = 0
        self._empty = asyncio.Event()
        self._empty.set()

    @asynccontextmanager
    async def shared(self) -> AsyncIterator[None]:
        """Hold it together with others."""
        async with self._door:
            self._holders += 1
            self._empty.clear()
        try:
            yield
        finally:
            self._holders -= 1
            if self._holders == 0:
                self._empty.set()

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """Hold it when nobody else does."""
        async with self._door:
            await self._empty.wait()
            yield

    async def close(self) -> None:
        """Take it alone for good."""
        await self._door.acquire()
        await self._empty.wait()
