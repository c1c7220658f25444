"""What the three local servers have in common."""

import importlib
import importlib.util
import signal
import threading
from pathlib import Path
from typing import Any, ClassVar

from .model import VARIABLES, Say, Server, StackError
from .process import Account
from .state import PortName, State


class LocalServer:
    """One server out of a registry package: how it is prepared, started and stopped. Made anew by each command."""

    server: ClassVar[Server]
    port_names: ClassVar[tuple[PortName, ...]]
    gentle_signal: ClassVar[signal.Signals] = signal.SIGTERM

    def __init__(self, state: State) -> None:
        """Take folder, ports and password from `state`."""
        self.state = state
        self.folder = state.root / self.server.value
        self.log = state.root / "logs" / f"{self.server.value}.log"
        self.account: Account | None = None

    def fetch(self, say: Say) -> None:
        """Get what it needs before any server is started; StackError when it cannot be had."""
        raise NotImplementedError

    def prepare(self, cancelled: threading.Event) -> list[str]:
        """Write the settings, make the data folder when there is none, and give the command that starts it."""
        raise NotImplementedError

    def address(self) -> str:
        """Where it listens."""
        raise NotImplementedError

    def after_ready(self) -> None:
        """Do what has to wait until it answers for the first time after a start."""

    def may_start_later(self, last_lines: str) -> bool:
        """Whether a start that ended with `last_lines` can succeed in a moment."""
        return False


def package(name: str) -> Any:
    """A package of the `stack` extra; StackError when it is not installed."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise _missing(name) from error


def package_folder(name: str) -> Path:
    """The folder of a package that is used for its files alone; StackError when it is not installed."""
    found = importlib.util.find_spec(name)
    if found is None or found.origin is None:
        raise _missing(name)
    return Path(found.origin).parent


def _missing(name: str) -> StackError:
    return StackError(
        f"The package {name} is missing: install `pointstream[stack]`, or give the addresses of running servers "
        f"in {', '.join(VARIABLES.values())}."
    )


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read."""
    path.touch(mode=0o600)
    path.write_text(text)
