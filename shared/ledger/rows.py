"""What a decided batch writes, as rows in the order of their tables' columns (`shared.ledger.write`). Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from operator import itemgetter

import orjson

from shared.domain.ids import MemberId, Shard
from shared.domain.model import Account, Balances, Lot, Outcome, Posting, RatedOrder
from shared.ledger.batch import Consumed
from shared.ledger.orders import dump_lines
from shared.ledger.plan import Change
from shared.ledger.sharding import shard_of

Row = tuple[object, ...]


@dataclass(slots=True)
class AccountRows:
    """Accounts, their lots and their debts: those that are new, and those that change. `owing` are the keys of accounts
    whose debts are written anew."""

    new: list[Row] = field(default_factory=list)
    changed: list[Row] = field(default_factory=list)
    new_lots: list[Row] = field(default_factory=list)
    changed_lots: list[Row] = field(default_factory=list)
    owing: list[Row] = field(default_factory=list)
    debts: list[Row] = field(default_factory=list)


def dump_balances(balances: Balances) -> bytes:
    """Balances as JSON: points by wallet and bucket."""
    return orjson.dumps(balances, option=orjson.OPT_NON_STR_KEYS)


def rows_of_accounts(changes: Sequence[Change]) -> AccountRows:
    """The rows that carry accounts forward; new ones in one order for all workers, since rows that are not there yet
    cannot be locked before."""
    rows = AccountRows()
    for change in changes:
        shard, before, after = change.shard, change.before, change.after
        member_id = after.member_id
        row = (
            shard,
            member_id,
            after.version,
            after.settled_to,
            after.next_due_at,
            after.lots_issued,
            dump_balances(after.balances),
        )
        (rows.changed if before.version else rows.new).append(row)
        _add_lots(rows, shard, before, after)
        if before.debts or after.debts:
            rows.owing.append((shard, member_id))
            for number, debt in enumerate(after.debts, 1):
                rows.debts.append((shard, member_id, number, debt.wallet, debt.order_id, debt.amount, debt.version))
    rows.new.sort(key=itemgetter(0, 1))
    return rows


def _add_lots(rows: AccountRows, shard: Shard, before: Account, after: Account) -> None:
    member_id = after.member_id
    for lot in after.lots.values():
        if lot.lot_id > before.lots_issued:
            rows.new_lots.append(_lot_row(shard, member_id, lot))
        elif lot is not before.lots[lot.lot_id]:
            rows.changed_lots.append(
                (shard, member_id, lot.lot_id, lot.remaining, lot.activates_at, lot.expires_at, lot.expired)
            )


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


def rows_of_orders(orders: Iterable[tuple[Shard, RatedOrder]]) -> list[Row]:
    """The rows of orders as they were rated."""
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
    return rows


def rows_of_consumed(consumed: Iterable[tuple[Consumed, Outcome]], shards: int) -> list[Row]:
    """The rows of events, in the order of their keys."""
    rows: list[Row] = []
    for item, outcome in consumed:
        event = item.event
        ref = event.ref
        shard = shard_of(ref.event_id, shards)
        rows.append((shard, ref.source, ref.event_id, ref.event_type, event.member_id, item.digest, outcome))
    rows.sort(key=itemgetter(0, 1, 2))
    return rows


def rows_of_journal(
    postings: Iterable[tuple[Shard, Posting]], position: dict[Shard, int]
) -> tuple[list[Row], list[Row]]:
    """The rows of postings and of their movements. Each shard's postings get the positions after its `position`, which
    goes on with them."""
    posting_rows: list[Row] = []
    movement_rows: list[Row] = []
    for shard, posting in postings:
        pos = position[shard] = position[shard] + 1
        event = posting.event
        posting_rows.append(
            (
                shard,
                pos,
                posting.member_id,
                posting.version,
                posting.kind,
                None if event is None else event.source,
                None if event is None else event.event_id,
                None if event is None else event.event_type,
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
    return posting_rows, movement_rows
