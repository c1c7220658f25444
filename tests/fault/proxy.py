"""A proxy between a worker and PostgreSQL that loses the answers to chosen COMMITs, or the COMMITs themselves."""

import asyncio
import random
from collections.abc import Collection
from contextlib import suppress
from enum import StrEnum
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit, urlunsplit

_SSL_REQUEST = (80877103).to_bytes(4, "big")
_CHUNK_BYTES = 65_536


class Cut(StrEnum):
    """When a connection is cut."""

    BEFORE = "before the server has it"
    AT_ONCE = "as the server gets it"
    AFTER = "after the server has committed"


class CommitProxy:
    """Listens on a port of its own and passes everything on, but for the COMMITs with the given numbers."""

    def __init__(self, postgres: str, numbers: Collection[int], cuts: Collection[Cut], chance: random.Random) -> None:
        self._postgres = postgres
        self._left = set(numbers)
        self._cuts = tuple(cuts)
        self._chance = chance
        self._commits = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.done: list[tuple[int, Cut]] = []
        """The cuts that were made."""

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def is_done(self) -> bool:
        """Whether all cuts were made."""
        return not self._left

    @property
    def address(self) -> str:
        """PostgreSQL as a worker finds it through the proxy."""
        if self._server is None:
            raise RuntimeError("use a CommitProxy in `async with`")
        parts = urlsplit(self._postgres)
        port = self._server.sockets[0].getsockname()[1]
        credentials = parts.netloc.rpartition("@")[0]
        return urlunsplit(parts._replace(netloc=f"{credentials}@127.0.0.1:{port}"))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        parts = urlsplit(self._postgres)
        # What is refused or reset here, its client sees as a connection that was cut.
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            there_reader, there_writer = await asyncio.open_connection(parts.hostname, parts.port)
            await _Connection(self, reader, writer, there_reader, there_writer).run()
        writer.transport.abort()

    def next_commit(self) -> Cut | None:
        """A COMMIT goes by: whether, and how, it is to be cut."""
        self._commits += 1
        if self._commits not in self._left:
            return None
        cut = self._chance.choice(self._cuts)
        self.done.append((self._commits, cut))
        self._left.discard(self._commits)
        return cut


class _Connection:
    """One client's connection."""

    def __init__(
        self,
        proxy: CommitProxy,
        client_reader: asyncio.StreamReader,
        client: asyncio.StreamWriter,
        server_reader: asyncio.StreamReader,
        server: asyncio.StreamWriter,
    ) -> None:
        self._proxy = proxy
        self._client_reader = client_reader
        self._client = client
        self._server_reader = server_reader
        self._server = server
        self._loses_answer = False

    async def run(self) -> None:
        """Pass on in both directions until one ends or the connection is cut."""
        both = {asyncio.create_task(self._to_server()), asyncio.create_task(self._to_client())}
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in both:
                task.cancel()
            await asyncio.gather(*both, return_exceptions=True)
            self._client.transport.abort()
            self._server.transport.abort()

    async def _to_server(self) -> None:
        await self._start_up()
        while True:
            head = await self._client_reader.readexactly(5)
            body = await self._client_reader.readexactly(int.from_bytes(head[1:], "big") - 4)
            cut = self._proxy.next_commit() if head[:1] == b"Q" and body.startswith(b"COMMIT") else None
            if cut is Cut.BEFORE:
                return
            self._loses_answer = cut is Cut.AFTER
            self._server.write(head + body)
            await self._server.drain()
            if cut is Cut.AT_ONCE:
                return

    async def _start_up(self) -> None:
        """The first messages have no kind: perhaps a question for TLS, then who wants to connect to what."""
        while True:
            head = await self._client_reader.readexactly(4)
            body = await self._client_reader.readexactly(int.from_bytes(head, "big") - 4)
            self._server.write(head + body)
            await self._server.drain()
            if body != _SSL_REQUEST:
                return

    async def _to_client(self) -> None:
        while content := await self._server_reader.read(_CHUNK_BYTES):
            if self._loses_answer:
                return  # it has committed, and only we know
            self._client.write(content)
            await self._client.drain()
