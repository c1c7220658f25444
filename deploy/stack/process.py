"""Processes that outlive the command which started them, and are ended by a later one."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import psutil

from .model import StackError
from .state import ProcessId

STOP_LIMIT_S = 20.0
"""A server that has not ended by itself after this is killed. Its data stand that: it is only slower to start."""

KILL_LIMIT_S = 5.0
"""A process that was killed is gone within this, or never (it hangs in the kernel)."""

STEP_S = 0.02
"""How often a condition is looked at."""

_SAME_START_S = 2.0
"""The start of a process is read in ticks and the machine's in whole seconds."""

_LAUNCH = '"$@" >&2 </dev/null & echo $!'
"""The shell ends at once, so the server belongs to nobody's children, and its number comes back on stdout."""

_LOG_KEPT_BYTES = 5_000_000
_LOG_TAIL_LINES = 12


class CancelledError(Exception):
    """Somebody no longer wants what was being waited for."""


@dataclass(frozen=True, slots=True)
class Account:
    """The user that a process runs as."""

    uid: int
    gid: int


def environment() -> dict[str, str]:
    """What a server gets to see of the environment: nothing that would change how it behaves, and no password."""
    kept = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
    return {name: os.environ[name] for name in kept if name in os.environ} | {"LC_ALL": "C", "TZ": "UTC"}


def launch(command: list[str], folder: Path, log: Path, account: Account | None) -> ProcessId:
    """Start `command` in a session of its own, all that it prints going to `log`; StackError when it ends at once."""
    with open_log(log) as output:
        shell = _popen(["/bin/sh", "-c", _LAUNCH, "sh", *command], folder, subprocess.PIPE, output, account)
    printed, _ = shell.communicate()
    pid = int(printed)
    try:
        return ProcessId(pid=pid, started_s=_started_s(psutil.Process(pid)))
    except psutil.NoSuchProcess as error:
        raise StackError(f"it ended at once:\n{tail(log)}") from error


def run(command: list[str], folder: Path, log: Path, account: Account | None, cancelled: threading.Event) -> None:
    """Run `command` to its end.

    StackError with its last lines when it fails, CancelledError when `cancelled` is set before it ends.
    """
    with open_log(log) as output, _popen(command, folder, output, output, account) as process:
        while process.poll() is None:
            if cancelled.wait(STEP_S):
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                raise CancelledError
    if process.returncode != 0:
        raise StackError(f"{Path(command[0]).name} failed with code {process.returncode}:\n{tail(log)}")


def _popen(
    command: list[str], folder: Path, stdout: IO[bytes] | int, stderr: IO[bytes], account: Account | None
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=stderr,
        cwd=folder,
        env=environment(),
        start_new_session=True,
        umask=0o077,
        user=account.uid if account else None,
        group=account.gid if account else None,
        extra_groups=[] if account else None,
    )


def find(process_id: ProcessId | None) -> psutil.Process | None:
    """The process if it still runs, else None. One that only waits to be collected by its parent does not run."""
    if process_id is None:
        return None
    try:
        process = psutil.Process(process_id.pid)
        same = abs(_started_s(process) - process_id.started_s) < _SAME_START_S
        return process if same and process.status() != psutil.STATUS_ZOMBIE else None
    except psutil.NoSuchProcess:
        return None


def stop(process_id: ProcessId, gentle: signal.Signals) -> bool:
    """End the process with signal `gentle`, and with its children by force when it takes longer than STOP_LIMIT_S.

    Gives whether it ended by itself. StackError when it cannot be ended.
    """
    process = find(process_id)
    if process is None:
        return True
    try:
        process.send_signal(gentle)
        if wait_until(lambda: find(process_id) is None, STOP_LIMIT_S):
            return True
        for one in [process, *process.children(recursive=True)]:
            with suppress(psutil.NoSuchProcess):
                one.kill()
    except psutil.NoSuchProcess:
        return True
    except psutil.AccessDenied as error:
        raise StackError(f"process {process_id.pid} belongs to another user: stop it as that user") from error
    if not wait_until(lambda: find(process_id) is None, KILL_LIMIT_S):
        raise StackError(f"process {process_id.pid} does not end, even when killed")
    return False


def wait_until(condition: Callable[[], bool], limit_s: float) -> bool:
    """Wait for `condition`; whether it came true within `limit_s`."""
    deadline = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(STEP_S)
    return True


def memory_bytes(process: psutil.Process) -> int:
    """The memory of the process and its children; what they share counts once, where the system tells."""
    return sum(_own_memory_bytes(one) for one in [process, *process.children(recursive=True)])


def _own_memory_bytes(process: psutil.Process) -> int:
    try:
        memory = process.memory_full_info()
        return int(getattr(memory, "pss", memory.uss))
    except psutil.AccessDenied:
        return int(process.memory_info().rss)
    except psutil.NoSuchProcess:
        return 0


def _started_s(process: psutil.Process) -> float:
    return process.create_time() - psutil.boot_time()


def open_log(path: Path) -> IO[bytes]:
    """Open a log for appending, readable by its owner alone; a long one is put aside first."""
    if path.exists() and path.stat().st_size > _LOG_KEPT_BYTES:
        path.replace(path.with_suffix(".old.log"))
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "wb")


def tail(log: Path) -> str:
    """The last lines of a log, indented, and where the rest is."""
    lines = log.read_text(errors="replace").splitlines()[-_LOG_TAIL_LINES:] if log.exists() else []
    return "\n".join([*(f"    {line}" for line in lines), f"  (all of it in {log})"])
