"""Ctrl-C while a command is still being loaded."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

INTERRUPTED = 130
"""The exit code after Ctrl-C."""


@contextmanager
def ending_at_once() -> Iterator[None]:
    """Let Ctrl-C end the process without a word as long as the block lasts, which has nothing to clean up.

    An exception would not do: it has a traceback, and some modules make another error of it while they load.
    """
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield  # whoever began this process does not want it to be interrupted
        return
    signal.signal(signal.SIGINT, _end)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _end(number: int, frame: FrameType | None) -> None:
    os._exit(INTERRUPTED)
