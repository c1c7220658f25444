"""The rules of SEMANTICS once more, as simply as they can be said: one event at a time, lists, dicts, fractions.

It shares nothing with `shared.domain`: it reads program documents and order data as plain dicts, knows instants as
aware datetimes, and looks every local day up in the zone, quarter of an hour by quarter of an hour.
"""

import copy
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tests.property.naive_rating import Document, Order, by_line, duration, one_of_each_group, parsed, rated, validity

BALANCE_LIMIT = 10**18
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass
class Lot:
    """Points that were issued together; `activates_at` is None once they are active."""

    number: int
    wallet: str
    order_id: str
    issued: int
    remaining: int
    activates_at: datetime | None
    expires_at: datetime | None

    @property
    def due_at(self) -> datetime | None:
        if self.remaining == 0:
            return None
        return self.activates_at or self.expires_at


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

    def open_lots(self) -> list[Lot]:
        return [lot for lot in self.lots if lot.remaining]

    def next_due(self) -> datetime | None:
        return min((lot.due_at for lot in self.lots if lot.due_at), default=None)


class NaiveModel:
    """A whole installation: its program versions and its members."""

    def __init__(self, documents: list[Document]) -> None:
        self.documents = sorted(documents, key=lambda document: parsed(document["effective_from"]))
        self.members: dict[str, Member] = {}
        self.lateness = max(duration(document, "allowed_lateness") for document in documents)

    def member(self, member_id: str) -> Member:
        return self.members.setdefault(member_id, Member())

    def in_force(self, at: datetime) -> Document | None:
        found = [document for document in self.documents if parsed(document["effective_from"]) <= at]
        return found[-1] if found else None

    def order_paid(self, order: Order, arrived_at: datetime) -> str:
        """An order-paid event arrives; returns its outcome."""
        member = self.member(order["member_id"])
        at = parsed(order["occurred_at"])
        effective = max(min(at, arrived_at), arrived_at - self.lateness, member.settled_to)
        self.settle(member, effective)
        document = self.in_force(at)
        refusal = self._refusal(member, order, arrived_at, document)
        if refusal or not document:
            return refusal
        grants = [(rule, *rated(rule, order, document)) for rule in document["rules"]]
        grants = one_of_each_group([grant for grant in grants if grant[1] > 0], document.get("groups", {}))
        if self._over_the_limit(member, grants):
            return "balance_limit_reached"
        member.orders[order["order_id"]] = by_line(grants)
        if not grants:
            return "nothing_earned"
        self._accrue(member, order, document, grants, effective)
        self.settle(member, effective)
        return "posted"

    def _refusal(self, member: Member, order: Order, arrived_at: datetime, document: Document | None) -> str:
        at = parsed(order["occurred_at"])
        if document is None:
            return "no_program_in_force"
        reasons = {
            "too_early": at - arrived_at > duration(document, "future_tolerance"),
            "too_late": arrived_at - at > duration(document, "late_tolerance"),
            "currency_not_accepted": order["currency"] != document["currency"],
            "order_already_paid": order["order_id"] in member.orders,
        }
        return next((name for name, applies in reasons.items() if applies), "")

    def sweep(self, member_id: str, until: datetime) -> None:
        self.settle(self.member(member_id), until)

    def balances_at(self, member_id: str, instant: datetime) -> dict[str, dict[str, int]]:
        """What the member sees at an instant, whether or not anybody has swept."""
        member = copy.deepcopy(self.member(member_id))
        self.settle(member, instant)
        return member.balances

    def settle(self, member: Member, until: datetime) -> None:
        """Each due instant makes a posting of its own: first what becomes active, then what expires."""
        while (due := member.next_due()) is not None and due <= until:
            movements: list[dict[str, Any]] = []
            for lot in member.lots:
                if lot.remaining and lot.activates_at == due:
                    self._activate(member, lot, movements)
            for lot in member.lots:
                if lot.remaining and lot.activates_at is None and lot.expires_at == due:
                    movements.append(movement((lot.wallet, "available", "expired"), lot.remaining, lot))
                    lot.remaining = 0
            version = (self.in_force(due) or {}).get("version")
            instants = {"occurred_at": due, "effective_at": max(due, member.settled_to)}
            self._post(member, movements, instants | {"kind": "settlement", "order": None, "program_version": version})

    def _over_the_limit(self, member: Member, grants: list[Any]) -> bool:
        issued = {wallet: -buckets.get("issued", 0) for wallet, buckets in member.balances.items()}
        for rule, points, _ in grants:
            issued[rule["wallet"]] = issued.get(rule["wallet"], 0) + points
        return any(points > BALANCE_LIMIT for points in issued.values())

    def _accrue(self, member: Member, order: Order, document: Document, grants: list[Any], effective: datetime) -> None:
        together: dict[Any, list[Any]] = {}
        for rule, points, _ in grants:
            starts, ends = validity(rule, document, parsed(order["occurred_at"]))
            together.setdefault((rule["wallet"], starts, ends), []).append((rule["id"], points))
        movements: list[dict[str, Any]] = []
        for (wallet, starts, ends), parts in together.items():
            points = sum(points for _, points in parts)
            lot = None
            if document["wallets"][wallet]["spendable"] or starts or ends:
                lot = Lot(len(member.lots) + 1, wallet, order["order_id"], points, points, starts, ends)
                member.lots.append(lot)
            for rule_id, part in parts:
                row = movement((wallet, "issued", "pending" if starts else "available"), part, lot, rule_id)
                movements.append(row | {"order": order["order_id"]})
            if starts is None:
                self._repay(member, wallet, points, lot, movements)
        instants = {"occurred_at": parsed(order["occurred_at"]), "effective_at": effective}
        event = {"kind": "accrual", "order": order["order_id"], "program_version": document["version"]}
        self._post(member, movements, instants | event)

    def _activate(self, member: Member, lot: Lot, movements: list[dict[str, Any]]) -> None:
        lot.activates_at = None
        movements.append(movement((lot.wallet, "pending", "available"), lot.remaining, lot))
        self._repay(member, lot.wallet, lot.remaining, lot, movements)
        if lot.expires_at is None and not self._spendable(lot.wallet):
            lot.remaining = 0  # nothing of this counter is due any more: it needs no lot

    def _repay(
        self, member: Member, wallet: str, points: int, lot: Lot | None, movements: list[dict[str, Any]]
    ) -> None:
        for debt in member.debts:
            part = min(points, debt[2])
            if debt[0] == wallet and part:
                row = movement((wallet, "available", "debt"), part, lot)
                movements.append(row | {"order": debt[1]})
                debt[2] -= part
                points -= part
        if lot:
            lot.remaining = points
        member.debts = [debt for debt in member.debts if debt[2]]

    def _spendable(self, wallet: str) -> bool:
        return any(d["wallets"][wallet]["spendable"] for d in self.documents if wallet in d["wallets"])

    def _post(self, member: Member, movements: list[dict[str, Any]], facts: dict[str, Any]) -> None:
        for row in movements:
            buckets = member.balances.setdefault(row["wallet"], {})
            buckets[row["from"]] = buckets.get(row["from"], 0) - row["amount"]
            buckets[row["to"]] = buckets.get(row["to"], 0) + row["amount"]
        member.settled_to = facts["effective_at"]
        after = {"balances": copy.deepcopy(member.balances), "next_due_at": member.next_due()}
        member.postings.append(facts | after | {"version": len(member.postings) + 1, "movements": movements})


def movement(way: tuple[str, str, str], amount: int, lot: Lot | None, rule: str | None = None) -> dict[str, Any]:
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
