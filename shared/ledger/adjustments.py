"""Adjustments go into the ledger like every event, but through no topic: who makes one is told at once what it was."""

from collections.abc import Sequence
from dataclasses import dataclass

from shared.contracts.adjustment import CONTRACT
from shared.domain.facts import Event
from shared.domain.time import Instant, unix_ms
from shared.ledger.batch import Batch, Consumed
from shared.ledger.post import Poster

TOPIC = "adjustment"
"""What stands in the place of a topic for events that come from no log."""


@dataclass(frozen=True, slots=True)
class NoMessage:
    """What an event was read from that came through no log."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]] = ()


def adjustment_of(event: bytes, arrived_at: Instant) -> Consumed:
    """An adjustment that arrives at `arrived_at`, out of its event in structured mode. Raises `Undecodable`."""
    decoded = CONTRACT.decode(event, ())
    message = NoMessage(TOPIC, 0, 0, unix_ms(arrived_at), None, event)
    return Consumed(Event(decoded.ref, arrived_at, decoded.fact), decoded.digest, message)


async def adjust(poster: Poster, adjustment: Consumed) -> str:
    """Post an adjustment; returns its outcome, or `duplicate` when it was made before. One whose id was used for
    another adjustment is a dead letter, and `dead_letter` is returned."""
    posted = await poster.post(Batch(events=[adjustment]))
    ((_, outcome),) = posted.events
    return outcome
