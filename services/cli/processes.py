"""Workers as child processes, for `run all`, `up` and `replay`. None outlives its parent's end."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from enum import StrEnum

import orjson

from shared.settings import Settings

STOP_TIMEOUT_S = 12.0
"""A worker stops within 10 s; one that does not is killed, which the ledger survives like any crash."""


class Worker(StrEnum):
    """What `pointstream run` can run."""

    EARN = "earn"
    PUBLISHER = "publisher"
    EXPIRY = "expiry"
    API = "api"


class WorkerEndedError(Exception):
    """A worker ended by itself; what it wrote last is in the message."""


class Children:
    """Running workers."""

    def __init__(self, processes: list[tuple[Worker, asyncio.subprocess.Process]]) -> None:
        self._processes = processes

    def pids(self) -> list[tuple[Worker, int]]:
        """The process of each worker."""
        return [(worker, process.pid) for worker, process in self._processes]

    async def until_one_ends(self) -> None:
        """Wait for the first worker that ends, and raise `WorkerEndedError`."""
        waits = {asyncio.create_task(process.wait()): worker for worker, process in self._processes}
        try:
            done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waits:
                task.cancel()
        first = done.pop()
        raise WorkerEndedError(
            f"the {waits[first]} worker ended with exit code {first.result()}; its last words stand above"
        )

    async def stop(self) -> None:
        """Ask all to stop, and see to it that they do."""
        for _, process in self._processes:
            if process.returncode is None:
                process.send_signal(signal.SIGTERM)
        for _, process in self._processes:
            try:
                await asyncio.wait_for(process.wait(), STOP_TIMEOUT_S)
            except TimeoutError:
                process.kill()
                await process.wait()


PYTHON = (sys.executable, "-P")
"""How a child is started. Without `-P`, Python would look into the working directory before PYTHONPATH, and a process
that is started in a checkout would never find the compiled core."""


def as_environment(settings: Settings) -> dict[str, str]:
    """The variables out of which a child process reads the same settings. What is a default here is one there."""
    return {
        f"POINTSTREAM_{name.upper()}": orjson.dumps(value).decode() if isinstance(value, list) else str(value)
        for name, value in settings.model_dump(mode="json", exclude_unset=True).items()
    }


@asynccontextmanager
async def running(workers: Sequence[Worker], settings: Settings, *, log_level: str) -> AsyncIterator[Children]:
    """Run workers for as long as the block lasts. Their logs go to this process's standard error."""
    environment = {
        **os.environ,
        **as_environment(settings),
        "POINTSTREAM_LOG_LEVEL": log_level,
    }
    processes: list[tuple[Worker, asyncio.subprocess.Process]] = []
    children = Children(processes)
    try:
        for worker in workers:
            process = await asyncio.create_subprocess_exec(
                *PYTHON,
                "-m",
                "services.cli.main",
                "run",
                worker.value,
                env=environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=sys.stderr,
                # A session of its own: Ctrl-C reaches the parent alone, which then stops its children in order.
                start_new_session=True,
            )
            processes.append((worker, process))
        yield children
    finally:
        await asyncio.shield(children.stop())
