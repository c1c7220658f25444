"""How much of the journal waits to be published, and for how long: the metrics of the publisher's lag."""

from collections.abc import Collection
from math import nan

from services.publisher.positions import Positions
from shared.clock import wall_clock
from shared.domain.time import SECOND_US, Instant
from shared.ledger import statements
from shared.ledger.database import Pool
from shared.metrics import TAIL_AGE, TAIL_POSTINGS


async def measure_tail(pool: Pool, published: Collection[Positions]) -> None:
    """Measure what stands in the journal behind the positions of some shares; those of a share that could not read its
    own yet are empty, and then nobody knows. The age goes on growing until the next measurement."""
    if not all(published):
        TAIL_POSTINGS.set(nan)
        TAIL_AGE.set_function(lambda: nan)
        return
    after = {shard: pos for positions in published for shard, pos in positions.items()}
    rows = await pool.fetch(statements.READ_TAIL, list(after), list(after.values()))
    oldest = min((row["recorded_at"] for row in rows if row["recorded_at"] is not None), default=None)
    TAIL_POSTINGS.set(sum(row["postings"] for row in rows))
    TAIL_AGE.set_function(lambda: _seconds_since(oldest))


def _seconds_since(oldest: Instant | None) -> float:
    return 0.0 if oldest is None else max(0.0, (wall_clock() - oldest) / SECOND_US)
