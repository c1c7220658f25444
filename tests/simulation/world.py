"""The scheduler: processes issue operations on stores, and a seed decides which happens next, and what goes wrong."""

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import ContextVar
from dataclasses import dataclass
from random import Random
from typing import Any, Final

from tests.simulation.loop import SimulatedLoop

DELAY_STEPS_MAX = 80
"""Long enough for others to be left out of a group, and to be taken over from."""


class BrokenPromiseError(AssertionError):
    """The system broke a promise."""


def promise(kept: bool, text: str) -> None:
    """Raises `BrokenPromiseError` for a promise that was broken."""
    if not kept:
        raise BrokenPromiseError(text)


class Blocked:
    """An operation that waits for another one's lock."""


BLOCKED: Final = Blocked()


class Process:
    """A worker as the operating system sees it: it runs, stands still, or is dead."""

    def __init__(self, world: "World", name: str) -> None:
        self.world = world
        self.name = name
        self.alive = True
        self.stalled_until = 0
        """The step before which it stands still."""
        self.tasks: dict[asyncio.Task[Any], None] = {}
        self.on_death: list[Callable[[], None]] = []

    def __repr__(self) -> str:
        return self.name


CURRENT: ContextVar[Process] = ContextVar("process")
"""Whose code is running."""


def current() -> Process:
    """The process whose code calls a stand-in."""
    return CURRENT.get()


@dataclass(slots=True, eq=False)
class Operation:
    """One step on a store that a process waits for.

    `apply` carries it out, and returns `BLOCKED` where it has to wait. `lost` makes the error of an answer that does
    not come; None where the store's answer cannot be lost.
    """

    process: Process
    name: str
    apply: Callable[[], Any]
    future: "asyncio.Future[Any]"
    is_ready: Callable[[], bool] | None
    lost: Callable[[], BaseException] | None
    not_before: int = 0
    """The step before which it is still on its way."""


class World:
    """All processes of one interleaving, their pending operations, and the trace of what happened."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.loop = SimulatedLoop(self._created)
        self.trace: list[tuple[str, str]] = []
        self.steps = 0
        self.delayed_share = self.random.choice((0.0, 0.02, 0.1))
        """How many operations take much longer than others."""
        self.pending: list[Operation] = []
        self._last: Process | None = None

    def say(self, who: str, what: str) -> None:
        """Note something in the trace."""
        self.trace.append((who, what))

    # Processes

    def spawn(self, process: Process, coro: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Start a task of a process."""
        token = CURRENT.set(process)
        try:
            return self.loop.create_task(coro)
        finally:
            CURRENT.reset(token)

    def _created(self, task: asyncio.Task[Any]) -> None:
        process = CURRENT.get(None)
        if process is not None:
            process.tasks[task] = None
            task.add_done_callback(lambda done: process.tasks.pop(done, None))

    def kill(self, process: Process) -> None:
        """End a process at once: whatever it still tries has no effect, and its connections break."""
        process.alive = False
        self.say(process.name, "KILLED")
        for end in process.on_death:
            end()
        self.pending = [operation for operation in self.pending if operation.process is not process]
        for _ in range(20):
            for task in list(process.tasks):
                task.cancel()
            self.loop.run_ready()
            if not process.tasks:
                return
        raise RuntimeError(f"tasks of {process.name} outlive it: {process.tasks}")

    # Operations

    def submit(
        self,
        name: str,
        apply: Callable[[], Any],
        is_ready: Callable[[], bool] | None = None,
        lost: Callable[[], BaseException] | None = None,
    ) -> Operation:
        """Issue an operation of the current process without waiting for it."""
        process = current()
        if not process.alive:
            raise asyncio.CancelledError
        operation = Operation(process, name, apply, self.loop.create_future(), is_ready, lost)
        if self.random.random() < self.delayed_share:
            operation.not_before = self.steps + self.random.randint(5, DELAY_STEPS_MAX)
        self.pending.append(operation)
        return operation

    async def operate(
        self,
        name: str,
        apply: Callable[[], Any],
        is_ready: Callable[[], bool] | None = None,
        lost: Callable[[], BaseException] | None = None,
    ) -> Any:
        """Issue an operation and wait for its answer. A cancelled one may have reached the store, or not."""
        operation = self.submit(name, apply, is_ready, lost)
        try:
            return await operation.future
        except asyncio.CancelledError:
            if operation in self.pending:
                self.pending.remove(operation)
                if operation.process.alive and self._is_ready(operation) and self.random.random() < 0.5:
                    self.say(operation.process.name, f"{name} (cancelled too late)")
                    self._attempt(operation)
            raise

    @staticmethod
    def _is_ready(operation: Operation) -> bool:
        return operation.is_ready is None or operation.is_ready()

    def _attempt(self, operation: Operation) -> None:
        """Carry out what nobody waits for any more."""
        try:
            operation.apply()
        except BrokenPromiseError as broken:
            self.loop.errors.append(str(broken))
        except Exception as error:
            self.say(operation.process.name, f"{operation.name}: {error!r}")

    def ready(self) -> list[Operation]:
        """What could happen next. What takes long is waited for only where nothing else can happen."""
        ready = [
            operation
            for operation in self.pending
            if operation.process.stalled_until <= self.steps and (operation.is_ready is None or operation.is_ready())
        ]
        return [operation for operation in ready if operation.not_before <= self.steps] or ready

    def choose(self, ready: list[Operation], stay: float) -> Operation:
        """One of them: of the process that went last with probability `stay`, so that others fall far behind."""
        if self._last is not None and self.random.random() < stay:
            same = [operation for operation in ready if operation.process is self._last]
            if same:
                ready = same
        operation = ready[self.random.randrange(len(ready))]
        self._last = operation.process
        return operation

    def carry_out(self, operation: Operation) -> bool:
        """Let an operation happen and its process hear the answer; False when it has to wait for a lock."""
        self.steps += 1
        try:
            result = operation.apply()
        except Exception as error:
            if isinstance(error, BrokenPromiseError):
                raise
            self.say(operation.process.name, f"{operation.name}: {type(error).__name__}: {error}")
            self.pending.remove(operation)
            self._answer(operation, error=error)
            return True
        if result is BLOCKED:
            self.say(operation.process.name, f"{operation.name} waits for a lock")
            return False
        self.say(operation.process.name, operation.name)
        self.pending.remove(operation)
        self._answer(operation, result)
        return True

    def lose_request(self, operation: Operation) -> None:
        """The operation never reaches its store."""
        self._fail(operation, "never arrives")

    def lose_answer(self, operation: Operation) -> None:
        """The operation happens, but its process hears of an error instead."""
        try:
            if operation.apply() is BLOCKED:
                return
        except BrokenPromiseError:
            raise
        except Exception as error:
            self.say(operation.process.name, f"{operation.name}: {error!r}")
        self._fail(operation, "happens, and the answer is lost")

    def _fail(self, operation: Operation, how: str) -> None:
        self.steps += 1
        self.say(operation.process.name, f"{operation.name} {how}")
        self.pending.remove(operation)
        assert operation.lost is not None
        self._answer(operation, error=operation.lost())

    def _answer(self, operation: Operation, result: Any = None, error: BaseException | None = None) -> None:
        if not operation.future.done():
            if error is None:
                operation.future.set_result(result)
            else:
                operation.future.set_exception(error)
        self.loop.run_ready()
