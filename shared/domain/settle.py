"""Settling: what falls due by itself is posted, each due instant as a posting of its own, in order.

The result does not depend on who settles, or when: an account settled in many steps has the same postings as one
that is settled in one (DESIGN 10).
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from shared.domain.ids import LotId, Wallet
from shared.domain.model import Account, Balances, Bucket, Debt, Lot, Movement, Posting, PostingKind
from shared.domain.program import Program, Programs
from shared.domain.time import Instant

NO_POSTINGS: tuple[Posting, ...] = ()


def settle(account: Account, until: Instant, programs: Programs) -> tuple[Account, tuple[Posting, ...]]:
    """Post what falls due at or before `until`; returns the account after it and its postings, oldest first."""
    due_at = account.next_due_at
    if due_at is None or due_at > until:
        return account, NO_POSTINGS
    postings = []
    while due_at is not None and due_at <= until:
        account, posting = _settle_instant(account, due_at, programs)
        postings.append(posting)
        due_at = account.next_due_at
    return account, tuple(postings)


def _settle_instant(account: Account, due_at: Instant, programs: Programs) -> tuple[Account, Posting]:
    """At one instant: first what becomes active, then what expires (SEMANTICS, Time); the older lot first."""
    program = programs.in_force(due_at)
    if program is None:
        raise ValueError(f"a lot of {account.member_id} falls due at {due_at}, before the first program version")
    lots = dict(account.lots)
    debts = account.debts
    movements: list[Movement] = []
    due = [lot for _, lot in sorted(lots.items()) if lot.due_at == due_at]
    for lot in due:
        if lot.activates_at is not None:
            active, debts = activate(lot, debts, movements)
            lots[lot.lot_id] = active if _is_kept(active, program) else replace(active, remaining=0)
    for lot in due:
        if lots[lot.lot_id].due_at == due_at:
            lots[lot.lot_id] = _expire(lots[lot.lot_id], movements)
    effective_at = max(due_at, account.settled_to)
    after = Account(
        account.member_id,
        account.version + 1,
        effective_at,
        next_due(lots, account.later_due_at),
        account.lots_issued,
        moved(account.balances, movements),
        lots,
        debts,
        account.later_due_at,
        account.orders,
    )
    posting = Posting(
        member_id=account.member_id,
        version=after.version,
        kind=PostingKind.SETTLEMENT,
        event=None,
        order_id=None,
        program_version=program.version,
        occurred_at=due_at,
        effective_at=effective_at,
        movements=tuple(movements),
        balances=after.balances,
        next_due_at=after.next_due_at,
    )
    return after, posting


def _is_kept(lot: Lot, program: Program) -> bool:
    """A counter needs no lot once nothing of it is due any more: nobody will ever ask which lot it came from."""
    policy = program.wallets.get(lot.wallet)
    return lot.expires_at is not None or policy is None or policy.spendable


def next_due(lots: Mapping[LotId, Lot], later_due_at: Instant | None) -> Instant | None:
    """The least instant at which one of the lots, or one that was left out, falls due."""
    least = later_due_at
    for lot in lots.values():
        least = earlier(least, lot.due_at)
    return least


def earlier(one: Instant | None, other: Instant | None) -> Instant | None:
    """The earlier of two instants, of which either may never come."""
    if one is None or (other is not None and other < one):
        return other
    return one


def activate(lot: Lot, debts: tuple[Debt, ...], movements: list[Movement]) -> tuple[Lot, tuple[Debt, ...]]:
    """Pending points become available; what the member owes in this wallet is repaid from them first."""
    movements.append(
        Movement(lot.wallet, Bucket.PENDING, Bucket.AVAILABLE, lot.remaining, None, lot.lot_id, lot.order_id)
    )
    left, debts = repay(lot.wallet, lot.lot_id, lot.remaining, debts, movements)
    return Lot(lot.lot_id, lot.wallet, lot.order_id, lot.issued, left, None, lot.expires_at), debts


def _expire(lot: Lot, movements: list[Movement]) -> Lot:
    movements.append(
        Movement(lot.wallet, Bucket.AVAILABLE, Bucket.EXPIRED, lot.remaining, None, lot.lot_id, lot.order_id)
    )
    return Lot(lot.lot_id, lot.wallet, lot.order_id, lot.issued, 0, None, lot.expires_at)


def repay(
    wallet: Wallet,
    lot_id: LotId | None,
    amount: int,
    debts: tuple[Debt, ...],
    movements: list[Movement],
) -> tuple[int, tuple[Debt, ...]]:
    """Repay debts of `wallet`, oldest first, from `amount` points that just became available in a lot.

    Adds the movements; returns what is left of the amount, and the debts that remain.
    """
    if not debts:
        return amount, debts
    remaining: list[Debt] = []
    for debt in debts:
        part = min(amount, debt.amount) if debt.wallet == wallet else 0
        if part:
            movements.append(Movement(wallet, Bucket.AVAILABLE, Bucket.DEBT, part, None, lot_id, debt.order_id))
            amount -= part
        if debt.amount > part:
            remaining.append(Debt(debt.wallet, debt.order_id, debt.amount - part))
    return amount, tuple(remaining)


def moved(balances: Balances, movements: Iterable[Movement]) -> dict[Wallet, dict[Bucket, int]]:
    """The balances after the movements; those given stay as they are."""
    after = {wallet: dict(buckets) for wallet, buckets in balances.items()}
    for movement in movements:
        buckets = after.setdefault(movement.wallet, {})
        amount = movement.amount
        buckets[movement.from_bucket] = buckets.get(movement.from_bucket, 0) - amount
        buckets[movement.to_bucket] = buckets.get(movement.to_bucket, 0) + amount
    return after
