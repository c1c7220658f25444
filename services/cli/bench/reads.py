"""Balance reads by the API at a steady rate, beside raw Redis reads by the same client.

Latency counts from when a read was due, not from when the client got round to it: a slow answer must not make the next
reads look fast.
"""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from redis.asyncio import Redis

from services.cli.processes import Worker, running
from shared.settings import Settings

CONNECTIONS = 16
READ_TIMEOUT_S = 10.0
START_TIMEOUT_S = 20.0

Read = Callable[[str], Awaitable[None]]


async def api_reads(settings: Settings, members: list[str], reads_per_s: int, seconds: float) -> list[float]:
    """Milliseconds of each read by the API; the balances are read once before, so that they are in Redis."""
    port = settings.api_port
    async with running([Worker.API], settings, log_level="warning"):
        await _until_ready(port)
        async with _connections(port) as read:
            await _paced(read, members, reads_per_s, len(members) / reads_per_s)
            return await _paced(read, members, reads_per_s, seconds)


async def redis_reads(settings: Settings, keys: list[str], reads_per_s: int, seconds: float) -> list[float]:
    """Milliseconds of each HGETALL."""
    redis = Redis.from_url(settings.redis, protocol=2, max_connections=CONNECTIONS)

    async def read(key: str) -> None:
        if not await redis.hgetall(key):
            raise ValueError(f"{key} is not in Redis")

    try:
        return await _paced(read, keys, reads_per_s, seconds)
    finally:
        await redis.aclose()


async def _paced(read: Read, what: list[str], reads_per_s: int, seconds: float) -> list[float]:
    due: asyncio.Queue[tuple[float, str]] = asyncio.Queue()
    taken_ms: list[float] = []

    async def work() -> None:
        while True:
            due_at_s, key = await due.get()
            await read(key)
            taken_ms.append((time.monotonic() - due_at_s) * 1000)
            due.task_done()

    async with asyncio.TaskGroup() as tasks:
        workers = [tasks.create_task(work()) for _ in range(CONNECTIONS)]
        began_s, count = time.monotonic(), 0
        while (passed_s := time.monotonic() - began_s) < seconds:
            while count < passed_s * reads_per_s:
                due.put_nowait((began_s + count / reads_per_s, what[count % len(what)]))
                count += 1
            await asyncio.sleep(0.001)
        await due.join()
        for worker in workers:
            worker.cancel()
    return taken_ms


@asynccontextmanager
async def _connections(port: int) -> AsyncIterator[Read]:
    """Reads over kept connections: a client that does no more than it must, since it shares the cores."""
    idle: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()
    for _ in range(CONNECTIONS):
        idle.put_nowait(await asyncio.open_connection("127.0.0.1", port))

    async def read(member_id: str) -> None:
        reader, writer = await idle.get()
        writer.write(f"GET /v1/members/{member_id}/balance HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), READ_TIMEOUT_S)
        length = re.search(rb"(?i)content-length: (\d+)", head)
        if not head.startswith(b"HTTP/1.1 200 ") or length is None:
            raise ValueError(f"the API answered {head.splitlines()[0].decode()}")
        await reader.readexactly(int(length.group(1)))
        idle.put_nowait((reader, writer))

    try:
        yield read
    finally:
        while not idle.empty():
            idle.get_nowait()[1].close()


async def _until_ready(port: int) -> None:
    async with asyncio.timeout(START_TIMEOUT_S):
        while True:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(b"GET /health/ready HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
                answer = await reader.read()
                writer.close()
            except OSError:
                answer = b""
            if answer.startswith(b"HTTP/1.1 200 "):
                return
            await asyncio.sleep(0.1)
