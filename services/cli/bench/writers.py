"""What a budget costs that many writers share: their orders a second with it, and without it.

The writers are posters with a connection each, in one process, and each has the members of its own shards, as workers
have. Nothing goes through Kafka: all of the time is spent where the budget may stand in the way.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

from services.cli.bench.orders import Spread, orders
from shared.contracts.headers import encode_headers
from shared.contracts.order_paid import TYPE, decode
from shared.domain.facts import Event
from shared.domain.time import rfc3339, unix_ms
from shared.ledger.adjustments import NoMessage
from shared.ledger.batch import Batch, Consumed
from shared.ledger.budgets import read_budgets
from shared.ledger.database import Role, open_pool
from shared.ledger.post import Poster
from shared.ledger.programs import load_programs
from shared.ledger.sharding import shard_of
from shared.settings import Settings
from shared.setup import SHARDS

WRITERS = 8
BATCH_EVENTS = 500
WARM_UP_ORDERS = 2 * WRITERS * BATCH_EVENTS
"""After these, each writer has a connection and a lease."""


@dataclass(frozen=True, slots=True)
class Written:
    """How fast the writers were, and how many units of all budgets are used in the end."""

    orders_per_s: float
    used: int


async def run(settings: Settings, count: int) -> Written:
    """Let the writers post so many orders."""
    warm_up = _shares(WARM_UP_ORDERS, 0)
    shares = _shares(count, WARM_UP_ORDERS)
    pool = await open_pool(settings.database, Role.WRITER, max_size=WRITERS)
    try:
        poster = Poster(pool, await load_programs(pool), SHARDS)
        await _write_all(poster, warm_up)
        began_s = time.perf_counter()
        await _write_all(poster, shares)
        took_s = time.perf_counter() - began_s
        return Written(count / took_s, sum(use.used for use in await read_budgets(pool)))
    finally:
        pool.terminate()


async def _write_all(poster: Poster, shares: Sequence[Sequence[Consumed]]) -> None:
    async with asyncio.TaskGroup() as tasks:
        for share in shares:
            tasks.create_task(_write(poster, share))


async def _write(poster: Poster, share: Sequence[Consumed]) -> None:
    for first in range(0, len(share), BATCH_EVENTS):
        await poster.post(Batch(events=list(share[first : first + BATCH_EVENTS])))


def _shares(count: int, first: int) -> list[list[Consumed]]:
    """The orders of each writer, decoded, numbered from `first` on."""
    shares: list[list[Consumed]] = [[] for _ in range(WRITERS)]
    for made in orders(count, Spread.EVEN, first):
        headers = encode_headers(
            event_id=made.event_id, source=made.source, event_type=TYPE, time=rfc3339(made.arrived_at)
        )
        decoded = decode(made.value, headers)
        event = Event(decoded.ref, made.arrived_at, decoded.fact)
        message = NoMessage("", 0, 0, unix_ms(made.arrived_at), None, made.value)
        shares[shard_of(event.member_id, SHARDS) % WRITERS].append(Consumed(event, decoded.digest, message))
    return shares
