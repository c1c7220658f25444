"""Writing a decided batch: rows of each table in one statement, the journal last."""

from collections import Counter
from collections.abc import Iterable, Sequence
from operator import itemgetter

import orjson

from shared.domain.facts import Adjustment
from shared.domain.ids import MemberId, Shard
from shared.domain.model import Balances, Lot, Outcome, Posting, RatedOrder
from shared.ledger import statements
from shared.ledger.batch import Consumed
from shared.ledger.database import Connection, copy
from shared.ledger.orders import dump_lines, dump_refund
from shared.ledger.plan import Change, KeptAdjustment, KeptRefund
from shared.ledger.sharding import shard_of

Row = tuple[object, ...]

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


def dump_balances(balances: Balances) -> bytes:
    """Balances as JSON: points by wallet and bucket."""
    return orjson.dumps(balances, option=orjson.OPT_NON_STR_KEYS)


async def write_accounts(connection: Connection, changes: Sequence[Change]) -> None:
    """Carry the accounts forward, with their lots and debts."""
    new: list[Row] = []
    changed: list[Row] = []
    new_lots: list[Row] = []
    changed_lots: list[Row] = []
    owing: list[Change] = []
    for change in changes:
        shard, before, after = change.shard, change.before, change.after
        row = (
            shard,
            after.member_id,
            after.version,
            after.settled_to,
            after.next_due_at,
            after.lots_issued,
            dump_balances(after.balances),
        )
        (changed if before.version else new).append(row)
        for lot in after.lots.values():
            if lot.lot_id > before.lots_issued:
                new_lots.append(_lot_row(shard, after.member_id, lot))
            elif lot is not before.lots[lot.lot_id]:
                changed_lots.append(
                    (
                        shard,
                        after.member_id,
                        lot.lot_id,
                        lot.remaining,
                        lot.activates_at,
                        lot.expires_at,
                        lot.expired,
                    )
                )
        if before.debts or after.debts:
            owing.append(change)
    # In one order for all workers: rows that are not there yet cannot be locked before.
    new.sort(key=itemgetter(0, 1))
    await copy(connection, "accounts", _ACCOUNTS, new)
    await _execute(connection, statements.UPDATE_ACCOUNTS, changed)
    await copy(connection, "lots", _LOTS, new_lots)
    await _execute(connection, statements.UPDATE_LOTS, changed_lots)
    await _write_debts(connection, owing)


def _lot_row(shard: Shard, member_id: MemberId, lot: Lot) -> Row:
    return (
        shard,
        member_id,
        lot.lot_id,
        lot.wallet,
        lot.order_id,
        lot.issued,
        lot.remaining,
        lot.activates_at,
        lot.expires_at,
        lot.expired,
        lot.waits_for,
    )


async def _write_debts(connection: Connection, owing: Sequence[Change]) -> None:
    await _execute(connection, statements.CLEAR_DEBTS, [(change.shard, change.after.member_id) for change in owing])
    rows = [
        (change.shard, change.after.member_id, number, debt.wallet, debt.order_id, debt.amount, debt.version)
        for change in owing
        for number, debt in enumerate(change.after.debts, 1)
    ]
    await copy(connection, "debts", _DEBTS, rows)


async def write_orders(connection: Connection, orders: Iterable[tuple[Shard, RatedOrder]]) -> None:
    """Keep the accepted orders."""
    rows: list[Row] = []
    for shard, rated in orders:
        rows.append(
            (
                shard,
                rated.member_id,
                rated.order_id,
                rated.occurred_at,
                rated.currency,
                rated.paid,
                rated.program_version,
                dump_lines(rated),
            )
        )
    await copy(connection, "orders", _ORDERS, rows)


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
    rows = sorted(
        (
            shard_of(item.event.ref.event_id, shards),
            item.event.ref.source,
            item.event.ref.event_id,
            item.event.ref.event_type,
            item.event.member_id,
            item.digest,
            outcome,
        )
        for item, outcome in consumed
    )
    await copy(connection, "consumed_events", _CONSUMED, rows)


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
    posting_rows: list[Row] = []
    movement_rows: list[Row] = []
    for shard, posting in postings:
        pos = position[shard] = position[shard] + 1
        event = posting.event
        source, event_id, event_type = (
            (None, None, None) if event is None else (event.source, event.event_id, event.event_type)
        )
        posting_rows.append(
            (
                shard,
                pos,
                posting.member_id,
                posting.version,
                posting.kind,
                source,
                event_id,
                event_type,
                posting.order_id,
                posting.program_version,
                posting.occurred_at,
                posting.effective_at,
                dump_balances(posting.balances),
                posting.next_due_at,
                posting.follows,
            )
        )
        for seq, movement in enumerate(posting.movements, 1):
            movement_rows.append(
                (
                    shard,
                    pos,
                    seq,
                    movement.wallet,
                    movement.from_bucket,
                    movement.to_bucket,
                    movement.amount,
                    movement.rule_id,
                    movement.lot_id,
                    movement.order_id,
                )
            )
    await copy(connection, "postings", _POSTINGS, posting_rows)
    await copy(connection, "movements", _MOVEMENTS, movement_rows)


async def _execute(connection: Connection, statement: str, rows: Sequence[Row]) -> None:
    """Run a statement that takes its rows as one array a column; not at all for none."""
    if rows:
        await connection.execute(statement, *zip(*rows, strict=True))
