"""The workers of a round: real processes that are killed, frozen, stopped and started again.

They are forked from a process that has loaded their code already: loading it would take half of a round's time. From
there on they do what `pointstream run` does.
"""

import multiprocessing
import os
import signal
import sys
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from services.cli.processes import STOP_TIMEOUT_S, Worker, as_environment
from shared.settings import Settings
from tests.fault.waiting import until

LAST_LINES = 15
KILL_LIMIT_S = 30.0

CODE = ["services.cli.commands", *(f"services.{worker}.app" for worker in Worker), "tests.fault.round"]

_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload(CODE)


def _run(worker: Worker, environment: dict[str, str], log: Path) -> None:
    """In the new process: become `pointstream run WORKER`, with all that it says in `log`."""
    from services.cli.main import main  # noqa: PLC0415 not in the process that forks

    os.setsid()
    with log.open("wb") as output:
        for stream in (1, 2):
            os.dup2(output.fileno(), stream)
    os.environ.update(environment)
    sys.argv = ["pointstream", "run", worker.value]
    main()


class Running:
    """One worker."""

    def __init__(self, worker: Worker, log: Path, process: ForkServerProcess) -> None:
        self.worker = worker
        self.log = log
        self.may_end = False
        self._process = process

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        return self._process.exitcode

    async def kill(self) -> None:
        """SIGKILL."""
        self._process.kill()
        await self._until_ended(KILL_LIMIT_S)

    async def stop(self) -> None:
        """SIGTERM, and wait; one that takes longer than it may fails the round."""
        self._process.terminate()
        await self._until_ended(STOP_TIMEOUT_S)

    def freeze(self) -> None:
        """SIGSTOP."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        if self._process.pid is not None:
            os.kill(self._process.pid, number)

    async def _until_ended(self, limit_s: float) -> None:
        self.may_end = True

        async def ended() -> bool:
            return self.exit_code is not None

        await until(ended, f"{self.log.stem} ends", limit_s)

    def says(self, event: str) -> int:
        """How often it has logged something."""
        return self.log.read_text(errors="replace").count(event)

    async def until_it_says(self, event: str, times: int = 1) -> None:
        """Wait until it has logged something so often."""

        async def said() -> bool:
            return self.says(event) >= times

        await until(said, f"{self.log.stem} says {event!r} {times} times")


class WorkerEndedError(Exception):
    """A worker ended that nobody had asked to."""


class Team:
    """All workers of a round. Each logs to a file of its own in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._workers: list[Running] = []

    def start(self, worker: Worker, settings: Settings) -> Running:
        """Start a worker; it is not waited for."""
        number = sum(one.worker is worker for one in self._workers) + 1
        log = self._folder / f"{worker}-{number}.log"
        given = {**as_environment(settings), "POINTSTREAM_LOG_LEVEL": "info"}
        log.touch()
        process = _processes.Process(target=_run, args=(worker, given, log), daemon=True)
        process.start()
        running = Running(worker, log, process)
        self._workers.append(running)
        return running

    def check(self) -> None:
        """Raise `WorkerEndedError` when one has ended by itself."""
        for one in self._workers:
            if one.exit_code is not None and not one.may_end:
                words = "\n".join(one.log.read_text(errors="replace").splitlines()[-LAST_LINES:])
                raise WorkerEndedError(f"{one.log.stem} ended with exit code {one.exit_code}:\n{words}")

    async def end(self) -> None:
        """Kill all that run."""
        for one in self._workers:
            if one.exit_code is None:
                await one.kill()
