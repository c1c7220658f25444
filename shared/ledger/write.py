"""Writing a decided batch: rows of each table in one statement, the journal last."""

from collections import Counter
from collections.abc import Iterable, Sequence
from operator import itemgetter

from shared.domain.facts import Adjustment
from shared.domain.ids import Shard
from shared.domain.model import Outcome, Posting, RatedOrder
from shared.ledger import statements
from shared.ledger.batch import Consumed
from shared.ledger.database import Connection, copy
from shared.ledger.orders import dump_refund
from shared.ledger.plan import Change, KeptAdjustment, KeptRefund
from shared.ledger.rows import Row, rows_of_accounts, rows_of_consumed, rows_of_journal, rows_of_orders
from shared.ledger.sharding import shard_of

_ACCOUNTS = ("shard", "member_id", "version", "settled_to", "next_due_at", "lots_issued", "balances")
_LOTS = (
    "shard",
    "member_id",
    "lot_id",
    "wallet",
    "order_id",
    "issued",
    "remaining",
    "activates_at",
    "expires_at",
    "expired",
    "waits_for",
)
_DEBTS = ("shard", "member_id", "debt_no", "wallet", "order_id", "amount", "version")
_ORDERS = ("shard", "member_id", "order_id", "occurred_at", "currency", "paid", "program_version", "lines")
_REFUNDS = (
    "shard",
    "member_id",
    "order_id",
    "refund_no",
    "arrived_at",
    "source",
    "event_id",
    "outcome",
    "parts",
)
_ADJUSTMENTS = (
    "shard",
    "source",
    "event_id",
    "member_id",
    "wallet",
    "points",
    "moved",
    "lot_id",
    "expires_at",
    "import_id",
    "reverses_source",
    "reverses_event_id",
    "actor",
    "reason",
    "occurred_at",
)
_CONSUMED = ("shard", "source", "event_id", "event_type", "member_id", "digest", "outcome")
_POSTINGS = (
    "shard",
    "pos",
    "member_id",
    "version",
    "kind",
    "source",
    "event_id",
    "event_type",
    "order_id",
    "program_version",
    "occurred_at",
    "effective_at",
    "balances",
    "next_due_at",
    "follows",
)
_MOVEMENTS = ("shard", "pos", "seq", "wallet", "from_bucket", "to_bucket", "amount", "rule_id", "lot_id", "order_id")


async def write_accounts(connection: Connection, changes: Sequence[Change]) -> None:
    """Carry the accounts forward, with their lots and debts."""
    rows = rows_of_accounts(changes)
    await copy(connection, "accounts", _ACCOUNTS, rows.new)
    await _execute(connection, statements.UPDATE_ACCOUNTS, rows.changed)
    await copy(connection, "lots", _LOTS, rows.new_lots)
    await _execute(connection, statements.UPDATE_LOTS, rows.changed_lots)
    await _execute(connection, statements.CLEAR_DEBTS, rows.owing)
    await copy(connection, "debts", _DEBTS, rows.debts)


async def write_orders(connection: Connection, orders: Iterable[tuple[Shard, RatedOrder]]) -> None:
    """Keep the accepted orders."""
    await copy(connection, "orders", _ORDERS, rows_of_orders(orders))


async def write_refunds(connection: Connection, refunds: Iterable[KeptRefund]) -> None:
    """Keep what was given back, each behind the refunds of its order that were known before."""
    rows = [
        (
            kept.shard,
            kept.refund.member_id,
            kept.refund.order_id,
            kept.number,
            kept.event.arrived_at,
            kept.event.ref.source,
            kept.event.ref.event_id,
            kept.outcome,
            dump_refund(kept.refund),
        )
        for kept in refunds
    ]
    await copy(connection, "refunds", _REFUNDS, rows)


async def write_adjustments(connection: Connection, adjustments: Iterable[KeptAdjustment], shards: int) -> None:
    """Keep what operators gave, took and reversed, with who and why, in the order of their keys as `write_consumed`
    does."""
    rows: list[Row] = []
    for kept in adjustments:
        ref, fact = kept.event.ref, kept.fact
        points: Row = (None, None, kept.moved, None, None, None)
        reverses: Row = (None, None)
        if isinstance(fact, Adjustment):
            points = (fact.wallet, fact.points, kept.moved, kept.lot_id, fact.expires_at, fact.import_id)
        else:
            reverses = fact.reverses
        rows.append(
            (
                shard_of(ref.event_id, shards),
                ref.source,
                ref.event_id,
                fact.member_id,
                *points,
                *reverses,
                fact.actor,
                fact.reason,
                fact.occurred_at,
            )
        )
    rows.sort(key=itemgetter(0, 1, 2))
    await copy(connection, "adjustments", _ADJUSTMENTS, rows)


async def write_consumed(connection: Connection, consumed: Iterable[tuple[Consumed, Outcome]], shards: int) -> None:
    """Record each event with its outcome, in the order of their keys, so that two batches never wait in a circle."""
    await copy(connection, "consumed_events", _CONSUMED, rows_of_consumed(consumed, shards))


async def write_journal(connection: Connection, postings: Sequence[tuple[Shard, Posting]]) -> None:
    """Give the postings their positions and append them with their movements."""
    if not postings:
        return
    counts = Counter(shard for shard, _ in postings)
    heads = await connection.fetch(statements.TAKE_POSITIONS, list(counts), list(counts.values()))
    position = {head["shard"]: head["pos"] - counts[head["shard"]] for head in heads}
    if len(position) != len(counts):
        missing = sorted(set(counts) - set(position))
        raise RuntimeError(f"shards {missing} have no head row: the installation was made with fewer shards")
    posting_rows, movement_rows = rows_of_journal(postings, position)
    await copy(connection, "postings", _POSTINGS, posting_rows)
    await copy(connection, "movements", _MOVEMENTS, movement_rows)


async def _execute(connection: Connection, statement: str, rows: Sequence[Row]) -> None:
    """Run a statement that takes its rows as one array a column; not at all for none."""
    if rows:
        await connection.execute(statement, *zip(*rows, strict=True))
