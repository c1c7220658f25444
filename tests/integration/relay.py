"""A TCP relay in front of a server: to the clients the server is away as long as the relay is shut."""

import asyncio
import socket
from contextlib import suppress
from types import TracebackType
from typing import Self

CHUNK_BYTES = 65_536


class Relay:
    """Listens on a port of its own and passes everything on to `host`:`port`. It starts shut."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        # Bound and not listening: connections are refused, and nobody else gets the port.
        self._holder = socket.socket()
        self._holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self._holder.bind(("127.0.0.1", 0))
        self.port: int = self._holder.getsockname()[1]
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.shut()
        self._holder.close()

    async def open(self) -> None:
        """Let clients through."""
        self._server = await asyncio.start_server(self._pass_on, "127.0.0.1", self.port, reuse_port=True)

    async def shut(self) -> None:
        """Cut all connections and refuse new ones."""
        if self._server is None:
            return
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        await self._server.wait_closed()
        self._server = None

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there_writer = await asyncio.open_connection(*self._target)
        ends = {writer, there_writer}
        self._writers |= ends
        try:
            await asyncio.gather(_copy(reader, there_writer), _copy(there_reader, writer))
        finally:
            self._writers -= ends
            for end in ends:
                end.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while content := await reader.read(CHUNK_BYTES):
            writer.write(content)
            await writer.drain()
    writer.close()
