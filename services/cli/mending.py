"""Mending a dead letter: how its message is changed, and whether it could be used then."""

import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from shared.contracts.defect import Undecodable
from shared.contracts.inbound import CONTRACTS
from shared.domain.ids import EventId, EventSource
from shared.ledger.batch import CONFLICTING_DUPLICATE
from shared.ledger.database import Pool
from shared.ledger.letters import Kept, Replayed, conflicts
from shared.settings import Settings

STDIN = "-"


class MendingError(Exception):
    """A message cannot be changed like that; the message says why."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a message could be used now: as which event, or what is wrong with it and where."""

    event: Replayed | None
    defect: str = ""
    path: str = ""
    reason: str = ""


async def judge(pool: Pool, settings: Settings, message: Kept, shards: int) -> Verdict:
    """What a worker would make of a message: by the contract, and by what the ledger knows of its id."""
    contract = CONTRACTS.get(settings.short_topic(message.topic))
    if contract is None:
        return Verdict(None, "unknown_topic", "topic", f"No worker of this installation reads {message.topic}.")
    try:
        decoded = contract.decode(message.value, message.headers)
    except Undecodable as error:
        return Verdict(None, error.defect, error.path, error.reason)
    event = Replayed(EventSource(decoded.ref.source), EventId(decoded.ref.event_id), decoded.digest)
    if await conflicts(pool, event, shards):
        reason = "The ledger knows this id with other content, and that stands; give it an id of its own."
        return Verdict(None, CONFLICTING_DUPLICATE, "id", reason)
    return Verdict(event)


def change(message: Kept, value: bytes | None, set_headers: Sequence[str], without: Sequence[str]) -> Kept:
    """A message with another value and other headers: `set_headers` are NAME=TEXT, `without` are names.

    Raises `MendingError` for a header that is not written like that.
    """
    headers = [(name, text) for name, text in message.headers if name not in without]
    for pair in set_headers:
        name, equals, text = pair.partition("=")
        if not (name and equals):
            raise MendingError(f"--header: {pair!r} is no header; write it like ce_id=paid-1")
        headers = [each for each in headers if each[0] != name]
        headers.append((name, text.encode()))
    return replace(message, value=message.value if value is None else value, headers=tuple(headers))


def read_value(source: str) -> bytes:
    """The bytes of a file, or of standard input for `-`. Raises `MendingError` when they cannot be read."""
    if source == STDIN:
        return sys.stdin.buffer.read()
    try:
        return Path(source).read_bytes()
    except OSError as error:
        raise MendingError(f"{source} cannot be read: {error.strerror}") from None


def edit_by_hand(value: bytes) -> bytes:
    """The bytes as somebody leaves them in $VISUAL or $EDITOR. Raises `MendingError` when the editor fails."""
    command = shlex.split(os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi")
    with tempfile.TemporaryDirectory(prefix="pointstream-letter-") as folder:
        path = Path(folder) / "message.json"
        path.write_bytes(value)
        try:
            subprocess.run([*command, path], check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise MendingError(f"the editor {command[0]!r} failed, and nothing was changed: {error}") from None
        edited = path.read_bytes()
    # Editors end the last line; that alone is no change.
    return value if edited.rstrip(b"\n") == value.rstrip(b"\n") else edited
