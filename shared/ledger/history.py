"""Reading all that the ledger knows of one order: how it was rated, its lots, its refunds, and what moved."""

from dataclasses import dataclass

import orjson

from shared.domain.facts import EventKey, EventRef, Refund
from shared.domain.ids import EventId, EventSource, MemberId, OrderId
from shared.domain.model import Lot, Outcome, RatedOrder
from shared.domain.time import Instant
from shared.ledger import statements
from shared.ledger.database import Connection, Record
from shared.ledger.orders import rated_order, refund_of
from shared.ledger.read import StatementEntry, with_movements
from shared.ledger.sharding import shard_of
from shared.ledger.state import lot_of


@dataclass(frozen=True, slots=True)
class ToldRefund:
    """A refund, the event that told of it, and what became of that when it came."""

    refund: Refund
    source: EventSource
    event_id: EventId
    outcome: Outcome
    arrived_at: Instant


@dataclass(frozen=True, slots=True)
class OrderHistory:
    """What is known of an order. `rated` is None for one that was not accepted, of which only refunds are known. `lots`
    are its own as they are stored; `entries` are the postings that moved something for it, oldest first."""

    rated: RatedOrder | None
    lots: tuple[Lot, ...]
    refunds: tuple[ToldRefund, ...]
    entries: tuple[StatementEntry, ...]


@dataclass(frozen=True, slots=True)
class EventHistory:
    """What became of an event: its outcome, and the orders of which it told, where the ledger knows any. An appeal
    `reverses` an event; one that was reversed says by which appeal."""

    ref: EventRef
    member_id: MemberId
    outcome: Outcome
    recorded_at: Instant
    orders: tuple[OrderId, ...]
    reverses: EventKey | None
    reversed_by: EventKey | None
    following: tuple[StatementEntry, ...]
    """What follows from it for a referral, in whoever's account."""


async def read_order(
    connection: Connection, member_id: MemberId, order_id: OrderId, shards: int
) -> OrderHistory | None:
    """All about an order of a member; None where neither it nor a refund of it is known.

    Several statements: of one moment where the connection's transaction sees only one.
    """
    shard = shard_of(member_id, shards)
    row = await connection.fetchrow(statements.READ_ORDER, shard, member_id, order_id)
    refunds = await connection.fetch(statements.READ_ORDER_REFUNDS, shard, member_id, order_id)
    if row is None and not refunds:
        return None
    rated = None if row is None else rated_order(row)
    lot_ids = [] if rated is None else list(rated.lots)
    lots = await connection.fetch(statements.READ_LOTS, shard, member_id, lot_ids)
    postings = await connection.fetch(statements.READ_ORDER_POSTINGS, shard, member_id, order_id, lot_ids)
    return OrderHistory(
        rated,
        tuple(map(lot_of, lots)),
        tuple(map(told_refund, refunds)),
        tuple(await with_movements(connection, shard, postings)),
    )


async def read_member_orders(connection: Connection, member_id: MemberId, limit: int, shards: int) -> list[OrderId]:
    """A member's orders that were paid last, newest first."""
    rows = await connection.fetch(statements.READ_MEMBER_ORDERS, shard_of(member_id, shards), member_id, limit)
    return [row["order_id"] for row in rows]


async def read_event(
    connection: Connection, source: EventSource, event_id: EventId, shards: int
) -> EventHistory | None:
    """What became of an event; None for one that was never consumed."""
    row = await connection.fetchrow(statements.READ_CONSUMED_EVENT, shard_of(event_id, shards), source, event_id)
    if row is None:
        return None
    member_id = row["member_id"]
    shard = shard_of(member_id, shards)
    orders = await connection.fetch(statements.READ_ORDERS_OF_EVENT, shard, member_id, source, event_id)
    (appeal,) = await connection.fetch(
        statements.READ_APPEAL_OF_EVENT, shard_of(event_id, shards), shard, member_id, source, event_id
    )
    rows = await connection.fetch(statements.READ_FOLLOWING, source, event_id)
    following = [entry for each in rows for entry in await with_movements(connection, each["shard"], [each])]
    return EventHistory(
        EventRef(source, event_id, row["event_type"]),
        member_id,
        Outcome(row["outcome"]),
        row["recorded_at"],
        tuple(found["order_id"] for found in orders),
        None if appeal["reverses_source"] is None else (appeal["reverses_source"], appeal["reverses_event_id"]),
        None if appeal["by_source"] is None else (appeal["by_source"], appeal["by_event_id"]),
        tuple(following),
    )


def told_refund(row: Record) -> ToldRefund:
    """A refund out of its row."""
    parts = orjson.loads(row["parts"])
    return ToldRefund(
        refund_of(parts, row["member_id"], row["order_id"]),
        row["source"],
        row["event_id"],
        Outcome(row["outcome"]),
        row["arrived_at"],
    )
