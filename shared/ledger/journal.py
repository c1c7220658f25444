"""Reading the journal by shard and position."""

from collections.abc import Mapping
from itertools import groupby
from operator import itemgetter

from shared.domain.ids import Shard
from shared.ledger import statements
from shared.ledger.database import Connection, Pool, Record


async def read_postings(
    pool: Connection | Pool, after: Mapping[Shard, int], per_shard_max: int
) -> dict[Shard, list[Record]]:
    """The postings of each shard behind a position, in order, at most so many of each; shards without any are left
    out."""
    rows = await pool.fetch(statements.READ_POSTINGS, list(after), list(after.values()), per_shard_max)
    return {shard: list(group) for shard, group in groupby(rows, key=itemgetter("shard"))}


async def read_movements(
    pool: Connection | Pool, after: Mapping[Shard, int], postings: Mapping[Shard, list[Record]]
) -> dict[tuple[Shard, int], list[Record]]:
    """The movements of what `read_postings` gave, by shard and position."""
    rows = await pool.fetch(
        statements.READ_MOVEMENTS,
        list(postings),
        [after[shard] for shard in postings],
        [group[-1]["pos"] for group in postings.values()],
    )
    return {key: list(group) for key, group in groupby(rows, key=itemgetter("shard", "pos"))}
