"""What is remembered of a stack between two commands, and the lock that lets one command work at a time."""

import fcntl
import os
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ValidationError

from .model import Say, Server, StackError
from .reach import make_enterable

STATE_FILE = "state.json"
LOCK_FILE = "lock"

PortName = Literal["kafka", "kafka_controller", "postgres", "redis"]


class ProcessId(BaseModel, frozen=True):
    """A process for good: its number may be given to another one, together with the moment of its start not.

    `started_s` is in seconds since the machine started, which no change of the clock moves.
    """

    pid: int
    started_s: float


class State(BaseModel):
    """What stands in state.json. The password is in there, so only its owner may read the file."""

    root: Path
    checkout: Path
    password: str
    ports: dict[PortName, int] = {}
    processes: dict[Server, ProcessId] = {}
    postgres_place: Path | None = None


class DamagedStateError(StackError):
    """state.json is there, but no longer what was written into it."""


_writing = threading.Lock()


def new_state(root: Path, checkout: Path) -> State:
    """The state of a stack that was never up, with a password of its own."""
    return State(root=root, checkout=checkout, password=secrets.token_hex(24))


def load(root: Path) -> State | None:
    """What is remembered in `root`, or None when there never was a stack."""
    path = root / STATE_FILE
    try:
        return State.model_validate_json(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except PermissionError as error:
        raise StackError(
            f"{path} may not be read: the stack was brought up by another user. "
            "Use it as that user, or set POINTSTREAM_HOME to a folder of your own."
        ) from error
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(str(part) for part in problem["loc"]) or "the file"
        raise DamagedStateError(
            f"{path} cannot be used: {where}: {problem['msg']}. `pointstream stack down --wipe` removes the stack "
            "with its data, and `pointstream stack up` makes a new one."
        ) from error


def started(state: State, server: Server, process: ProcessId) -> None:
    """Remember that `server` runs as `process`."""
    with _writing:
        state.processes[server] = process
        _write(state)


def ended(state: State, server: Server) -> None:
    """Remember that `server` does not run."""
    with _writing:
        state.processes.pop(server, None)
        _write(state)


def save(state: State) -> None:
    """Remember `state` in its root: all of it or, when that fails, nothing."""
    with _writing:
        _write(state)


def _write(state: State) -> None:
    path = state.root / STATE_FILE
    unfinished = path.with_suffix(".new")
    unfinished.unlink(missing_ok=True)
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(state.model_dump_json(indent=2))
        file.flush()
        os.fsync(descriptor)
    unfinished.replace(path)


@contextmanager
def locked(root: Path, say: Say) -> Iterator[None]:
    """Let one command work on `root` at a time; the others say that they wait, and wait."""
    try:
        make_enterable(root)
        file = _lock(root / LOCK_FILE, say)
    except OSError as error:
        raise StackError(
            f"The folder {root} cannot be used: {error.strerror}. Set POINTSTREAM_HOME to a folder of your own."
        ) from error
    try:
        yield
    finally:
        os.close(file)


def _lock(path: Path, say: Say) -> int:
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                say(f"Another `pointstream stack` is at work in {path.parent}: waiting for it to end")
                fcntl.flock(file, fcntl.LOCK_EX)
            # Whoever held it may have wiped the folder: then this lock is on a file that is gone.
            if path.exists() and path.stat().st_ino == os.fstat(file).st_ino:
                return file
            make_enterable(path.parent)
        except BaseException:
            os.close(file)
            raise
        os.close(file)
