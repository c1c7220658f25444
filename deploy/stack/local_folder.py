"""The folder of a local stack: how large it is, whether it is one, and its end."""

import shutil
from pathlib import Path

import psutil

from .model import Say, StackError
from .reach import OUTSIDE, outside_place
from .state import LOCK_FILE, STATE_FILE, State

_PARTS = ("kafka", "postgres", "redis", "logs")
_BLOCK_BYTES = 512


def data_bytes(folder: Path) -> int:
    """What a folder takes on the disk. Less than its files' lengths: Kafka's index files are long and nearly empty."""
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.lstat().st_blocks * _BLOCK_BYTES
        except FileNotFoundError:
            continue  # servers remove files as they go
    return total


def refuse_foreign(root: Path) -> None:
    """StackError when `root` has files in it but never was a stack's: wiping the stack would remove them."""
    others = sorted(path.name for path in root.iterdir() if path.name != LOCK_FILE)
    if others:
        raise StackError(
            f"{root} is not a stack's folder: it has no {STATE_FILE}, but {others[0]!r} in it. "
            "Set POINTSTREAM_HOME to a new folder, or move that one away."
        )


def remove(root: Path, state: State | None, say: Say) -> None:
    """Remove the stack's own files, and the folder if nothing else is in it. `state` is None if it is unreadable."""
    if not (root / STATE_FILE).exists():
        (root / LOCK_FILE).unlink()
        if not any(root.iterdir()):
            root.rmdir()
        say(f"Nothing to remove: no stack was up in {root}")
        return
    _refuse_while_used(root)
    own_place = state.postgres_place if state is not None and state.root == root else None
    outside = own_place or outside_place(root)
    try:
        if outside.parent == OUTSIDE and outside.exists():
            shutil.rmtree(outside)
            if not any(OUTSIDE.iterdir()):
                OUTSIDE.rmdir()
        for part in _PARTS:
            if (root / part).exists():
                shutil.rmtree(root / part)
        # Last, so that a removal which was cut short can be finished.
        for name in (STATE_FILE, LOCK_FILE):
            (root / name).unlink(missing_ok=True)
        if not any(root.iterdir()):
            root.rmdir()
    except OSError as error:
        raise StackError(f"{root} could not be removed: {error}") from error
    say(f"{root} has other files too and stays; the stack's are gone" if root.exists() else f"{root} is removed")


def _refuse_while_used(root: Path) -> None:
    """StackError when a server works in `root` that the stack does not remember, as after state.json was damaged."""
    ours = [str(folder) for folder in (*(root / part for part in _PARTS), outside_place(root))]
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if any(folder in word for folder in ours for word in words):
            raise StackError(
                f"Process {process.pid} ({words[0]}) still uses {root}, and the stack does not remember having "
                "started it. Nothing was removed: end that process, then wipe again."
            )
