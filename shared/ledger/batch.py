"""What a worker brings to the ledger: events, due accounts, unreadable messages, and how far it has read."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from shared.contracts.contract import Decoded
from shared.contracts.defect import Undecodable
from shared.contracts.headers import Headers
from shared.domain.facts import Event, Sweep
from shared.domain.ids import EventId, EventSource
from shared.domain.model import Outcome, PostingKind
from shared.domain.time import Instant, from_unix_us

DUPLICATE = "duplicate"
DEAD_LETTER = "dead_letter"
"""What becomes of a message besides an outcome, so that the sum over all outcomes is what was consumed."""

CONFLICTING_DUPLICATE = "conflicting_duplicate"
"""The defect of an event whose id was used before for something else."""


class Message(Protocol):
    """A message as it came from the log. aiokafka's records are such, so none is made anew."""

    @property
    def topic(self) -> str: ...

    @property
    def partition(self) -> int: ...

    @property
    def offset(self) -> int: ...

    @property
    def timestamp(self) -> int:
        """Its arrival in the log, in milliseconds since the Unix epoch."""
        ...

    @property
    def key(self) -> bytes | None: ...

    @property
    def value(self) -> bytes | None: ...

    @property
    def headers(self) -> Headers:
        """As the broker gave them: any bytes, or none."""
        ...


def arrival_of(message: Message) -> Instant:
    """The instant at which the log took the message in."""
    return from_unix_us(message.timestamp * 1000)


@dataclass(slots=True)
class Consumed:
    """A readable event, with the digest of what it says and the message it came in."""

    event: Event
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


Decode = Callable[[bytes | None, Headers], Decoded]
"""How the messages of a topic are read, out of value and headers; raises `Undecodable`, and nothing else."""


def read(message: Message, decode: Decode) -> Consumed | DeadLetter:
    """The event in a message, or why there is none."""
    try:
        decoded = decode(message.value, message.headers)
    except Undecodable as error:
        return DeadLetter(
            message,
            error.defect,
            error.path,
            error.reason,
            None if error.source is None else EventSource(error.source),
            None if error.event_id is None else EventId(error.event_id),
        )
    return Consumed(Event(decoded.ref, arrival_of(message), decoded.fact), decoded.digest, message)


@dataclass(slots=True)
class Progress:
    """How far a partition is read after a batch, by the owner of which generation, and the last arrival in it."""

    topic: str
    partition: int
    next_offset: int
    generation: int
    arrived_at: Instant


@dataclass(frozen=True, slots=True)
class LetterLimits:
    """How many dead letters a partition may have before nothing more of it is posted (docs/adr/0009)."""

    in_a_row_max: int
    share_max_percent: int
    share_of_messages: int


@dataclass(slots=True)
class Batch:
    """Everything that one transaction posts."""

    group: str = ""
    events: list[Consumed] = field(default_factory=list)
    sweeps: list[Sweep] = field(default_factory=list)
    dead_letters: list[DeadLetter] = field(default_factory=list)
    progress: list[Progress] = field(default_factory=list)
    limits: LetterLimits | None = None

    def take(self, messages: Sequence[Message], decode: Decode) -> None:
        """Take the messages of a topic in."""
        for message in messages:
            item = read(message, decode)
            if isinstance(item, Consumed):
                self.events.append(item)
            else:
                self.dead_letters.append(item)


@dataclass(slots=True)
class Posted:
    """What became of a batch. `events` counts its messages by topic and outcome, where duplicates and dead letters have
    one too; `defects` the dead letters by topic and defect."""

    outcomes: Counter[Outcome] = field(default_factory=Counter)
    events: Counter[tuple[str, str]] = field(default_factory=Counter)
    defects: Counter[tuple[str, str]] = field(default_factory=Counter)
    duplicates: int = 0
    dead_letters: int = 0
    postings: int = 0
    kinds: Counter[PostingKind] = field(default_factory=Counter)


class FencedError(Exception):
    """Another worker owns a partition of the batch by now; nothing of it was posted."""
