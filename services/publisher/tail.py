"""The journal's tail: how much of it waits to be published and for how long; and that it is there at all."""

from collections.abc import Collection, Sequence
from math import nan

from services.publisher.positions import Positions
from shared.clock import wall_clock
from shared.domain.time import SECOND_US, Instant
from shared.ledger import statements
from shared.ledger.database import Pool, Record
from shared.metrics import TAIL_AGE, TAIL_POSTINGS


class RolledBackError(Exception):
    """The ledger ends before what has left it: it was restored to an earlier moment, or it is another one."""


async def check_not_rolled_back(pool: Pool, left: Positions, where: str) -> None:
    """Raises `RolledBackError` when the ledger ends before a position that is known `where`, outside of it."""
    _check(await pool.fetch(statements.READ_TAIL, list(left), list(left.values())), left, where)


def _check(rows: Sequence[Record], left: Positions, where: str) -> None:
    for row in rows:
        if row["postings"] < 0:
            shard, pos = row["shard"], left[row["shard"]]
            raise RolledBackError(
                f"{where} has shard {shard} up to position {pos}, but the ledger ends at {pos + row['postings']}:"
                " it was restored to an earlier moment, or it is another one; docs/restore.md says how to go on"
            )


async def measure_tail(pool: Pool, published: Collection[Positions]) -> None:
    """Measure what stands in the journal behind the positions of some shares; those of a share that could not read its
    own yet are empty, and then nobody knows. The age goes on growing until the next measurement.

    Raises `RolledBackError` when the ledger ends before one of them.
    """
    if not all(published):
        TAIL_POSTINGS.set(nan)
        TAIL_AGE.set_function(lambda: nan)
        return
    after = {shard: pos for positions in published for shard, pos in positions.items()}
    rows = await pool.fetch(statements.READ_TAIL, list(after), list(after.values()))
    _check(rows, after, "points-changed")
    oldest = min((row["recorded_at"] for row in rows if row["recorded_at"] is not None), default=None)
    TAIL_POSTINGS.set(sum(row["postings"] for row in rows))
    TAIL_AGE.set_function(lambda: _seconds_since(oldest))


def _seconds_since(oldest: Instant | None) -> float:
    return 0.0 if oldest is None else max(0.0, (wall_clock() - oldest) / SECOND_US)
