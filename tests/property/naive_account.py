"""What the naive model knows of a member, and how points move."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tests.property.naive_rating import Document, Order

Refund = dict[str, Any]
Movement = dict[str, Any]

LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass
class Lot:
    """Points that were issued together; `activates_at` is None once they are active."""

    number: int
    wallet: str
    order_id: str | None
    issued: int
    remaining: int
    activates_at: datetime | None
    expires_at: datetime | None
    expired: int = 0
    """What expired unspent, and no refund has counted as taken."""

    @property
    def due_at(self) -> datetime | None:
        if self.remaining == 0:
            return None
        return self.activates_at or self.expires_at


@dataclass
class Rated:
    """An accepted order as it was rated, once and for all, and what refunds have taken of it, by rule; and what of that
    they have let go. A grant is a rule, the points that it gave by part, and those by line before limits and caps.
    """

    order: Order
    document: Document
    grants: list[Any]
    clawed: dict[str, int] = field(default_factory=dict)
    let_go: dict[str, int] = field(default_factory=dict)


@dataclass
class Member:
    """All that is known of one member. `debts` are [wallet, order id, amount], oldest first."""

    settled_to: datetime = LONG_AGO
    lots: list[Lot] = field(default_factory=list)
    debts: list[list[Any]] = field(default_factory=list)
    balances: dict[str, dict[str, int]] = field(default_factory=dict)
    postings: list[dict[str, Any]] = field(default_factory=list)
    orders: dict[str, dict[str, dict[str, int]]] = field(default_factory=dict)
    """order id → line id → rule id → points, without zeros."""

    rated: dict[str, Rated] = field(default_factory=dict)
    refunds: dict[str, list[Refund]] = field(default_factory=dict)
    """order id → the refunds of it that were not refused, whether or not the order is there yet."""

    def open_lots(self) -> list[Lot]:
        return [lot for lot in self.lots if lot.remaining]

    def active_lots(self, wallet: str) -> list[Lot]:
        """In burn order: the soonest expiry first, those that never expire last."""
        lots = [lot for lot in self.open_lots() if lot.wallet == wallet and lot.activates_at is None]
        return sorted(lots, key=lambda lot: (lot.expires_at is None, lot.expires_at or LONG_AGO, lot.number))

    def available(self, wallet: str, movements: list[Movement]) -> int:
        """With `movements`, which are not posted yet."""
        points: int = self.balances.get(wallet, {}).get("available", 0)
        for row in movements:
            if row["wallet"] == wallet:
                points += row["amount"] * ((row["to"] == "available") - (row["from"] == "available"))
        return points

    def without_lot(self, wallet: str, movements: list[Movement]) -> int:
        """Available points that are in no lot: those of a counter that never expire."""
        return self.available(wallet, movements) - sum(lot.remaining for lot in self.active_lots(wallet))

    def next_due(self) -> datetime | None:
        return min((lot.due_at for lot in self.lots if lot.due_at), default=None)


def movement(way: tuple[str, str, str], amount: int, lot: Lot | None, rule: str | None = None) -> Movement:
    """`way` is the wallet, the bucket the points leave, and the one they come to."""
    return {
        "wallet": way[0],
        "from": way[1],
        "to": way[2],
        "amount": amount,
        "rule": rule,
        "lot": lot.number if lot else None,
        "order": lot.order_id if lot else None,
    }
