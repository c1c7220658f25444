"""What a worker brings to the ledger: events, due accounts, unreadable messages, and how far it has read."""

from collections import Counter
from dataclasses import dataclass, field

from shared.domain.ids import EventId, EventSource
from shared.domain.model import OrderPaid, Outcome, Sweep
from shared.domain.time import Instant


@dataclass(slots=True)
class Message:
    """A message as it came from the log. `headers` are as the broker gave them: any bytes, or none."""

    topic: str
    partition: int
    offset: int
    arrived_at: Instant
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]


@dataclass(slots=True)
class Consumed:
    """A readable event, with the digest of what it says and the message it came in."""

    event: OrderPaid
    digest: bytes
    message: Message


@dataclass(slots=True)
class DeadLetter:
    """A message that could not be used: the path of the first field that is wrong, and why."""

    message: Message
    defect: str
    path: str
    reason: str
    source: EventSource | None = None
    event_id: EventId | None = None


@dataclass(slots=True)
class Progress:
    """How far a partition is read after a batch, by the owner of which generation, and the last arrival in it."""

    topic: str
    partition: int
    next_offset: int
    generation: int
    arrived_at: Instant


@dataclass(slots=True)
class Batch:
    """Everything that one transaction posts."""

    group: str = ""
    events: list[Consumed] = field(default_factory=list)
    sweeps: list[Sweep] = field(default_factory=list)
    dead_letters: list[DeadLetter] = field(default_factory=list)
    progress: list[Progress] = field(default_factory=list)


@dataclass(slots=True)
class Posted:
    """What became of a batch."""

    outcomes: Counter[Outcome] = field(default_factory=Counter)
    duplicates: int = 0
    dead_letters: int = 0
    postings: int = 0


class FencedError(Exception):
    """Another worker owns a partition of the batch by now; nothing of it was posted."""
