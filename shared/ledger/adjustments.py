"""Adjustments go into the ledger like every event, but through no topic: who makes one is told at once what it was."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from shared.contracts.adjustment import CONTRACT
from shared.domain.facts import Adjustment, Appeal, Event
from shared.domain.ids import AdjustmentId, EventId, EventSource, LotId, MemberId
from shared.domain.model import Outcome
from shared.domain.time import Instant, rfc3339, unix_ms
from shared.ledger import statements
from shared.ledger.batch import Batch, Consumed
from shared.ledger.database import Connection, Pool
from shared.ledger.plan import Key
from shared.ledger.post import Poster
from shared.ledger.sharding import shard_of

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


@dataclass(frozen=True, slots=True)
class Recorded:
    """An adjustment that the ledger has decided: what it came to, how many of its points moved, and the lot that it
    made or took from. An appeal names no `points` itself. `digest` is that of its event."""

    member_id: MemberId
    points: int | None
    moved: int
    lot_id: LotId | None
    outcome: Outcome
    digest: bytes


def event_of(source: EventSource, adjustment_id: AdjustmentId, fact: Adjustment | Appeal) -> bytes:
    """The event that tells of an adjustment, in structured mode. Raises `TypeError` for text that is no Unicode."""
    data: dict[str, Any] = {
        "adjustment_id": adjustment_id,
        "member_id": fact.member_id,
        "actor": fact.actor,
        "reason": fact.reason,
        "occurred_at": rfc3339(fact.occurred_at),
    }
    if isinstance(fact, Appeal):
        source_reversed, event_id = fact.reverses
        data["reverses"] = {"source": source_reversed, "id": event_id}
    else:
        data |= _points_of(fact)
    event = {"specversion": "1.0", "id": adjustment_id, "source": source, "type": CONTRACT.type, "data": data}
    return orjson.dumps(event)


def _points_of(adjustment: Adjustment) -> dict[str, Any]:
    data: dict[str, Any] = {"wallet": adjustment.wallet, "points": adjustment.points}
    if adjustment.expires_at is not None:
        data["expires_at"] = rfc3339(adjustment.expires_at)
    if adjustment.lot_id is not None:
        data["lot_id"] = adjustment.lot_id
    if adjustment.import_id is not None:
        data["import_id"] = adjustment.import_id
    return data


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


async def read_adjustments(connection: Connection | Pool, keys: Sequence[Key], shards: int) -> dict[Key, Recorded]:
    """Those of some adjustments that the ledger has decided."""
    rows = await connection.fetch(
        statements.READ_ADJUSTMENTS,
        [shard_of(event_id, shards) for _, event_id in keys],
        [source for source, _ in keys],
        [event_id for _, event_id in keys],
    )
    return {
        (EventSource(row["source"]), EventId(row["event_id"])): Recorded(
            row["member_id"],
            row["points"],
            row["moved"],
            row["lot_id"],
            Outcome(row["outcome"]),
            row["digest"],
        )
        for row in rows
    }
