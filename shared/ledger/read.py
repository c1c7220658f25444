"""Reading a member's statement out of the journal: postings with what they moved, newest first."""

from collections.abc import Sequence
from dataclasses import dataclass

import orjson

from shared.domain.facts import EventRef
from shared.domain.ids import MemberId, Shard
from shared.domain.model import Bucket, Movement, Posting, PostingKind
from shared.domain.time import Instant
from shared.ledger import statements
from shared.ledger.database import Connection, Record
from shared.ledger.sharding import shard_of

BEFORE_NOTHING = 2**63 - 1
"""Above every version: the page before it starts with the newest posting."""


@dataclass(slots=True, frozen=True)
class StatementEntry:
    """A posting as it stands in the journal, and when it was written there."""

    posting: Posting
    recorded_at: Instant


async def read_statement(
    connection: Connection, member_id: MemberId, before: int, limit: int, shards: int
) -> list[StatementEntry]:
    """The newest `limit` postings of a member whose version is below `before`, newest first.

    Versions have no gaps, so the last entry's version tells whether there are older ones: 1 is the first. Nothing is
    found for a member that nobody has seen.
    """
    shard = shard_of(member_id, shards)
    rows = await connection.fetch(statements.READ_STATEMENT, shard, member_id, before, limit)
    return await with_movements(connection, shard, rows)


async def with_movements(connection: Connection, shard: Shard, rows: Sequence[Record]) -> list[StatementEntry]:
    """Rows of postings of one shard as entries, with what they moved."""
    movements: dict[int, list[Movement]] = {row["pos"]: [] for row in rows}
    if rows:
        # A second statement sees the same: what the journal says of a position never changes.
        for row in await connection.fetch(statements.READ_MOVEMENTS_AT, shard, list(movements)):
            movements[row["pos"]].append(_movement(row))
    return [StatementEntry(_posting(row, movements[row["pos"]]), row["recorded_at"]) for row in rows]


def _movement(row: Record) -> Movement:
    return Movement(
        row["wallet"],
        Bucket(row["from_bucket"]),
        Bucket(row["to_bucket"]),
        row["amount"],
        row["rule_id"],
        row["lot_id"],
        row["order_id"],
    )


def _posting(row: Record, movements: list[Movement]) -> Posting:
    return Posting(
        member_id=row["member_id"],
        version=row["version"],
        kind=PostingKind(row["kind"]),
        event=None if row["source"] is None else EventRef(row["source"], row["event_id"], row["event_type"]),
        order_id=row["order_id"],
        program_version=row["program_version"],
        occurred_at=row["occurred_at"],
        effective_at=row["effective_at"],
        movements=tuple(movements),
        balances=orjson.loads(row["balances"]),
        next_due_at=row["next_due_at"],
    )
