"""Start and stop local servers, all at the same time and all or none."""

import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from types import FrameType

from .local_server import LocalServer
from .model import TITLES, Say, StackError
from .probe import NotAnsweringError, ask
from .process import STEP_S, CancelledError, find, launch, stop, tail
from .state import ended, started

_INTERRUPTS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

READY_LIMIT_S = 60.0
"""Servers are ready within some 5 s; a machine that is busy gets this long before the start counts as failed."""


def start_all(servers: list[LocalServer], say: Say) -> None:
    """Start `servers` side by side and return when all of them answer.

    When one fails, or the wait is interrupted, those that were started are stopped before the error goes on.
    """
    if not servers:
        return
    servers[0].log.parent.mkdir(mode=0o700, exist_ok=True)
    cancelled, together = threading.Event(), threading.Barrier(len(servers))
    with _interrupts_set(cancelled):
        with ThreadPoolExecutor(len(servers)) as pool:
            starts = [pool.submit(_start, one, cancelled, together, say) for one in servers]
        if cancelled.is_set():
            for one in servers:
                _undo(one)
            say("Not brought up: what was started is stopped again")
    errors = [error for start in starts if (error := start.exception())]
    # One that failed makes the others give up: its error is the one to tell.
    for error in sorted(errors, key=lambda error: isinstance(error, CancelledError)):
        raise error


@contextmanager
def _interrupts_set(cancelled: threading.Event) -> Iterator[None]:
    """Let Ctrl-C set `cancelled`, and raise KeyboardInterrupt only in the end.

    An exception in the middle of things, from a second Ctrl-C at the latest, would leave servers behind.
    """
    seen: list[int] = []

    def cancel(number: int, frame: FrameType | None) -> None:
        # Only once: a second Ctrl-C may come while the first one is inside `set`, whose lock cannot be taken twice.
        seen.append(number)
        if len(seen) == 1:
            cancelled.set()

    in_main = threading.current_thread() is threading.main_thread()
    usual = signal.default_int_handler
    held = [one for one in _INTERRUPTS if in_main and signal.getsignal(one) is usual]
    for one in held:
        signal.signal(one, cancel)
    try:
        yield
    finally:
        for one in held:
            signal.signal(one, usual)
    if seen:
        raise KeyboardInterrupt


def wait_ready(server: LocalServer) -> None:
    """Wait until a server that runs already answers; StackError when it does not."""
    try:
        _wait_until_it_answers(server, threading.Event())
    except _EndedError as error:
        raise StackError(f"{TITLES[server.server]} ended as it was looked at:\n{error}") from error
    server.after_ready()


def stop_all(servers: list[LocalServer], say: Say) -> None:
    """Stop `servers` side by side; StackError when one cannot be stopped. Those that do not run are passed over."""
    running = [one for one in servers if find(one.state.processes.get(one.server))]
    if not running:
        say("No server was running")
    with ThreadPoolExecutor(len(servers)) as pool:
        stops = [pool.submit(_stop, one, say) for one in running]
    for done in stops:
        done.result()
    for one in servers:
        ended(one.state, one.server)


class _EndedError(Exception):
    """The process ended before it answered. Has the last lines of its log."""


def _start(server: LocalServer, cancelled: threading.Event, together: threading.Barrier, say: Say) -> None:
    """Start one server; stop it again when it, or another one before all are ready, does not come up."""
    title = TITLES[server.server]
    begun = time.monotonic()
    try:
        _bring_up(server, cancelled)
        say(f"{title} is ready after {time.monotonic() - begun:.1f} s")
        together.wait()
    except BaseException as error:
        cancelled.set()
        together.abort()
        _undo(server)
        if isinstance(error, StackError | OSError):
            raise StackError(f"{title} could not be started: {error}") from error
        if isinstance(error, threading.BrokenBarrierError):
            raise CancelledError from error
        raise


def _undo(server: LocalServer) -> None:
    if process := server.state.processes.get(server.server):
        stop(process, server.gentle_signal)
        ended(server.state, server.server)


def _bring_up(server: LocalServer, cancelled: threading.Event) -> None:
    deadline = time.monotonic() + READY_LIMIT_S
    command = server.prepare(cancelled)
    while True:
        process = launch(command, server.folder, server.log, server.account)
        # Written down at once: whatever happens to this command, the next one can stop the server.
        started(server.state, server.server, process)
        try:
            _wait_until_it_answers(server, cancelled)
            break
        except _EndedError as error:
            ended(server.state, server.server)
            if time.monotonic() > deadline or not server.may_start_later(str(error)):
                raise StackError(f"it ended before it was ready:\n{error}") from error
        if cancelled.wait(STEP_S):
            raise CancelledError
    server.after_ready()


def _wait_until_it_answers(server: LocalServer, cancelled: threading.Event) -> None:
    deadline = time.monotonic() + READY_LIMIT_S
    while True:
        answer = _answer(server)
        # Looked at after the answer, which may have come from somebody who was quicker to take the port.
        if find(server.state.processes.get(server.server)) is None:
            raise _EndedError(tail(server.log))
        if answer is None:
            return
        if time.monotonic() > deadline:
            pid = server.state.processes[server.server].pid
            raise StackError(
                f"{TITLES[server.server]} (process {pid}) runs but does not answer after {READY_LIMIT_S:.0f} s: "
                f"{answer}. `pointstream stack down` stops it. Its last lines:\n{tail(server.log)}"
            )
        if cancelled.wait(STEP_S):
            raise CancelledError


def _answer(server: LocalServer) -> str | None:
    """None when the server answers as it should, else what is wrong."""
    try:
        ask(server.server, server.address())
    except NotAnsweringError as error:
        return str(error)
    return None


def _stop(server: LocalServer, say: Say) -> None:
    title = TITLES[server.server]
    process = server.state.processes[server.server]
    try:
        by_itself = stop(process, server.gentle_signal)
    except StackError as error:
        raise StackError(f"{title} could not be stopped: {error}") from error
    ended(server.state, server.server)
    say(f"{title} is stopped" if by_itself else f"{title} did not stop in time and was killed")
