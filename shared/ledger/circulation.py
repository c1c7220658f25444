"""The points in circulation, kept up to date behind the journal (docs/adr/0008)."""

from shared.ledger import statements
from shared.ledger.database import Pool
from shared.metrics import CIRCULATING, CIRCULATION

POSTINGS_PER_SHARD_MAX = 10_000
"""What one statement counts of a shard: a fraction of a second for all of them together."""


async def count_circulation(pool: Pool) -> None:
    """Count on to where the journal ends now, and show the points in circulation as a metric."""
    goes_on = True
    while goes_on:
        rows = await pool.fetch(statements.COUNT_CIRCULATION, POSTINGS_PER_SHARD_MAX)
        goes_on = any(row["goes_on"] for row in rows)
    for row in await pool.fetch(statements.READ_CIRCULATION, list(CIRCULATING)):
        CIRCULATION.labels(row["wallet"], row["bucket"]).set(row["points"])
