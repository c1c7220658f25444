"""An entry: a posting in the making. It gathers movements, and what they do to the account's lots and debts."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

from shared.domain.facts import EventRef
from shared.domain.ids import LotId, OrderId, ProgramVersion, RuleId, Wallet
from shared.domain.model import (
    BALANCE_LIMIT,
    Account,
    Balances,
    Bucket,
    Debt,
    Lot,
    Movement,
    Posting,
    PostingKind,
    WriteOff,
)
from shared.domain.program import Validity, WalletPolicy
from shared.domain.time import Instant

# Looking a member up in its enum costs more than all else that is done with it here.
ISSUED: Final = Bucket.ISSUED
PENDING: Final = Bucket.PENDING
AVAILABLE: Final = Bucket.AVAILABLE
EXPIRED: Final = Bucket.EXPIRED
DEBT: Final = Bucket.DEBT

NO_DUE: Final = Validity(None, None)
"""Points that are there at once and for ever."""


class Entry:
    """What one event, or one due instant, does to one account. The account itself stays as it is."""

    __slots__ = ("_account", "_lots_issued", "_next_due_at", "_shrunk", "debts", "lots", "movements", "write_offs")

    def __init__(self, account: Account) -> None:
        self.movements: list[Movement] = []
        self.lots: dict[LotId, Lot] = dict(account.lots)
        self.debts: tuple[Debt, ...] = account.debts
        self.write_offs: tuple[WriteOff, ...] = account.write_offs
        self._account = account
        self._lots_issued = account.lots_issued
        self._next_due_at = account.next_due_at
        self._shrunk = False

    def available(self, wallet: Wallet) -> int:
        """The points of a wallet that are available after the movements so far."""
        points = self._account.balances.get(wallet, {}).get(AVAILABLE, 0)
        for movement in self.movements:
            if movement.wallet == wallet:
                if movement.from_bucket is AVAILABLE:
                    points -= movement.amount
                elif movement.to_bucket is AVAILABLE:
                    points += movement.amount
        return points

    def issue(
        self,
        policy: WalletPolicy,
        validity: Validity,
        grants: Iterable[tuple[RuleId | None, int]],
        order_id: OrderId | None,
        waits_for: str | None = None,
    ) -> LotId | None:
        """Issue points that fall due together as one lot, and repay debts from what is available at once.

        A counter that never falls due needs no lot: nobody will ever ask which one a point came from.
        """
        wallet = policy.wallet
        lot_id: LotId | None = None
        if policy.spendable or validity != NO_DUE:
            self._lots_issued += 1
            lot_id = LotId(self._lots_issued)
        bucket = AVAILABLE if validity.activates_at is None else PENDING
        points = 0
        for rule_id, amount in grants:
            self.movements.append(Movement(wallet, ISSUED, bucket, amount, rule_id, lot_id, order_id))
            points += amount
        left = self.repay(wallet, lot_id, points) if self.debts and bucket is AVAILABLE else points
        if lot_id is not None:
            lot = self.lots[lot_id] = Lot(lot_id, wallet, order_id, points, left, *validity, 0, waits_for)
            self._next_due_at = earlier(self._next_due_at, lot.due_at)
        return lot_id

    def activate(self, lot: Lot, expires_at: Instant | None, *, kept: bool) -> None:
        """Pending points become available, until `expires_at`; what the member owes in this wallet is repaid from them
        first. A lot that is not kept is closed: its points count in the balance alone."""
        self.movements.append(Movement(lot.wallet, PENDING, AVAILABLE, lot.remaining, None, lot.lot_id, lot.order_id))
        left = self.repay(lot.wallet, lot.lot_id, lot.remaining)
        self.put(replace(lot, remaining=left if kept else 0, activates_at=None, expires_at=expires_at))

    def expire(self, lot: Lot) -> None:
        """What is left of a lot is gone."""
        self.movements.append(Movement(lot.wallet, AVAILABLE, EXPIRED, lot.remaining, None, lot.lot_id, lot.order_id))
        self.put(replace(lot, remaining=0, expired=lot.expired + lot.remaining))

    def move(
        self, wallet: Wallet, origin: Bucket, to: Bucket, amount: int, rule_id: RuleId | None, order_id: OrderId | None
    ) -> None:
        """Move points that are in no lot."""
        self.movements.append(Movement(wallet, origin, to, amount, rule_id, None, order_id))

    def take(self, lot: Lot, amount: int, to: Bucket, rule_id: RuleId | None, order_id: OrderId | None) -> None:
        """Take `amount` points out of a lot, pending or available as they are."""
        bucket = AVAILABLE if lot.activates_at is None else PENDING
        self.movements.append(Movement(lot.wallet, bucket, to, amount, rule_id, lot.lot_id, order_id))
        self.put(replace(lot, remaining=lot.remaining - amount))

    def take_expired(self, lot: Lot, amount: int, to: Bucket, rule_id: RuleId, order_id: OrderId | None) -> None:
        """Count points of a lot that ended unspent as taken."""
        self.movements.append(Movement(lot.wallet, EXPIRED, to, amount, rule_id, lot.lot_id, order_id))
        self.put(replace(lot, expired=lot.expired - amount))

    def owe(self, wallet: Wallet, order_id: OrderId | None, amount: int) -> None:
        """Let the debt of an order grow, or without one that of this posting; the movement is the caller's."""
        version = self._account.version + 1 if order_id is None else None
        debts = list(self.debts)
        for index, debt in enumerate(debts):
            if (debt.wallet, debt.order_id, debt.version) == (wallet, order_id, version):
                debts[index] = replace(debt, amount=debt.amount + amount)
                break
        else:
            debts.append(Debt(wallet, order_id, amount, version))
        self.debts = tuple(debts)

    def lessen(self, wallet: Wallet, order_id: OrderId | None, version: int | None, amount: int) -> int:
        """Let the debt of an order, or that of the posting of a version, shrink by up to so much; returns by how much.
        The movement is the caller's."""
        for index, debt in enumerate(self.debts):
            if (debt.wallet, debt.order_id, debt.version) == (wallet, order_id, version):
                part = min(amount, debt.amount)
                rest = (replace(debt, amount=debt.amount - part),) if part < debt.amount else ()
                self.debts = (*self.debts[:index], *rest, *self.debts[index + 1 :])
                return part
        return 0

    def write_off(self, wallet: Wallet, order_id: OrderId | None, amount: int) -> None:
        """Let points go that a refund was to take back; the movement is the caller's."""
        version = self._account.version + 1
        others = []
        for each in self.write_offs:
            if (each.wallet, each.version) == (wallet, version):
                amount += each.amount
            else:
                others.append(each)
        self.write_offs = (*others, WriteOff(wallet, order_id, version, amount))

    def repay(self, wallet: Wallet, lot_id: LotId | None, amount: int) -> int:
        """Repay debts of `wallet`, oldest first, from `amount` points that just became available in a lot; returns what
        is left of the amount."""
        if not self.debts:
            return amount
        remaining: list[Debt] = []
        for debt in self.debts:
            part = min(amount, debt.amount) if debt.wallet == wallet else 0
            if part:
                self.movements.append(Movement(wallet, AVAILABLE, DEBT, part, None, lot_id, debt.order_id))
                amount -= part
            if debt.amount > part:
                remaining.append(replace(debt, amount=debt.amount - part))
        self.debts = tuple(remaining)
        return amount

    def close(
        self,
        kind: PostingKind,
        event: EventRef | None,
        order_id: OrderId | None,
        program_version: ProgramVersion,
        occurred_at: Instant,
        effective_at: Instant,
    ) -> tuple[Account, Posting]:
        """The account after all movements, and the posting."""
        before = self._account
        balances = moved(before.balances, self.movements)
        version = before.version + 1
        next_due_at = next_due(self.lots, before.later_due_at) if self._shrunk else self._next_due_at
        after = Account(
            before.member_id,
            version,
            effective_at,
            next_due_at,
            self._lots_issued,
            balances,
            self.lots,
            self.debts,
            before.later_due_at,
            before.orders,
            before.has_orders,
            before.tallies,
            before.days,
            before.profiles,
            before.taken,
            self.write_offs,
            before.referral,
        )
        posting = Posting(
            before.member_id,
            version,
            kind,
            event,
            order_id,
            program_version,
            occurred_at,
            effective_at,
            tuple(self.movements),
            balances,
            next_due_at,
        )
        return after, posting

    def new_lot_id(self) -> LotId:
        """The number of the next lot."""
        self._lots_issued += 1
        return LotId(self._lots_issued)

    def put(self, lot: Lot) -> None:
        """A lot as it is from now on: there is another amount in it, or it falls due at another instant."""
        self.lots[lot.lot_id] = lot
        self._shrunk = True


def beyond_limit(posting: Posting) -> bool:
    """Whether it takes the account past `BALANCE_LIMIT`."""
    return any(-buckets.get(ISSUED, 0) > BALANCE_LIMIT for buckets in posting.balances.values())


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


def moved(balances: Balances, movements: Iterable[Movement]) -> dict[Wallet, dict[Bucket, int]]:
    """The balances after the movements; those given stay as they are."""
    after = {wallet: dict(buckets) for wallet, buckets in balances.items()}
    for movement in movements:
        buckets = after.get(movement.wallet)
        if buckets is None:
            buckets = after[movement.wallet] = {}
        amount = movement.amount
        buckets[movement.from_bucket] = buckets.get(movement.from_bucket, 0) - amount
        buckets[movement.to_bucket] = buckets.get(movement.to_bucket, 0) + amount
    return after
