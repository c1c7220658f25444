"""The rules of SEMANTICS once more, as simply as they can be said: one event at a time, lists, dicts, fractions.

It shares nothing with `shared.domain`: it reads program documents and the data of events as plain dicts, knows instants
as aware datetimes, and looks every local day up in the zone, quarter of an hour by quarter of an hour.
"""

import copy
from datetime import datetime, timedelta
from typing import Any

from tests.property.naive_account import Lot, Member, Movement, Rated, Refund, movement
from tests.property.naive_caps import within_caps
from tests.property.naive_rating import Document, Order, by_line, duration, one_of_each_group, parsed, rated, validity
from tests.property.naive_refunds import Source, belongs, over_refunded, take_back, taken, that_belong

BALANCE_LIMIT = 10**18


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
        effective = self._arrives(member, order, arrived_at)
        document = self.in_force(parsed(order["occurred_at"]))
        refusal = self._refusal(member, order, arrived_at, document)
        if refusal or not document:
            return refusal
        grants = [(rule, *rated(rule, order, document)) for rule in document["rules"]]
        grants = one_of_each_group([grant for grant in grants if grant[1]], document.get("groups", {}))
        grants, capped = within_caps(member, grants, order, document)
        if self._over_the_limit(member, [(rule["wallet"], sum(parts.values())) for rule, parts, _ in grants]):
            return "balance_limit_reached"
        member.orders[order["order_id"]] = by_line(grants)
        member.rated[order["order_id"]] = Rated(order, document, grants)
        if not any(parts for _, parts, _ in grants):
            return "capped" if capped else "nothing_earned"
        self._accrue(member, order, document, grants, effective)
        self.settle(member, effective)
        return "trimmed" if capped else "posted"

    def _refusal(self, member: Member, order: Order, arrived_at: datetime, document: Document | None) -> str:
        if document is None:
            return "no_program_in_force"
        reasons = {
            "too_early": early(order, arrived_at) > duration(document, "future_tolerance"),
            "too_late": -early(order, arrived_at) > duration(document, "late_tolerance"),
            "currency_not_accepted": order["currency"] != document["currency"],
            "order_already_paid": order["order_id"] in member.orders,
        }
        return first_that_applies(reasons)

    def refund(self, refund: Refund, arrived_at: datetime) -> str:
        """A refund event arrives; returns its outcome."""
        member = self.member(refund["member_id"])
        effective = self._arrives(member, refund, arrived_at)
        document = self.in_force(parsed(refund["occurred_at"]))
        if document is None:
            return "no_program_in_force"
        known = member.refunds.setdefault(refund["order_id"], [])
        bought = member.rated.get(refund["order_id"])
        reasons = {
            "too_early": early(refund, arrived_at) > duration(document, "future_tolerance"),
            "refund_already_counted": refund["refund_id"] in [each["refund_id"] for each in known],
            "waiting_for_order": bought is None,
            "refund_does_not_fit": bought is not None and not belongs(refund, bought.order),
        }
        found = first_that_applies(reasons)
        if found not in {"too_early", "refund_already_counted"}:
            known.append(refund)
        if found or not bought:
            return found
        movements: list[Movement] = []
        take_back(member, bought, self._spendable, movements, effective)
        if movements:
            event = {"kind": "reversal", "order": refund["order_id"], "program_version": bought.document["version"]}
            instants = {"occurred_at": parsed(refund["occurred_at"]), "effective_at": effective}
            self._post(member, movements, instants | event)
        if over_refunded(bought.order, that_belong(member, bought)):
            return "over_refunded" if movements else "over_refunded_nothing_taken"
        return "posted" if movements else "nothing_to_take_back"

    def adjust(self, adjustment: dict[str, Any], arrived_at: datetime) -> str:
        """Somebody gives points by hand, or takes them; returns the outcome."""
        member = self.member(adjustment["member_id"])
        effective = self._arrives(member, adjustment, arrived_at)
        at = parsed(adjustment["occurred_at"])
        document = self.in_force(at)
        if document is None:
            return "no_program_in_force"
        wallet, points = adjustment["wallet"], adjustment["points"]
        reasons = {
            "too_early": early(adjustment, arrived_at) > duration(document, "future_tolerance"),
            "too_late": points > 0 and -early(adjustment, arrived_at) > duration(document, "late_tolerance"),
            "wallet_unknown": wallet not in document["wallets"],
            "balance_limit_reached": points > 0 and self._over_the_limit(member, [(wallet, points)]),
            "balance_too_low": member.available(wallet, []) + points < 0,
        }
        if refusal := first_that_applies(reasons):
            return refusal
        movements: list[Movement] = []
        if points > 0:
            _, ends = validity({"wallet": wallet}, document, at)
            self._give(member, (wallet, None, ends), [(None, points)], None, movements)
        else:
            sources: list[Source] = [("available", lot, lot.remaining) for lot in member.active_lots(wallet)]
            sources.append(("available", None, member.without_lot(wallet, [])))
            movements += taken(-points, wallet, sources, "adjusted")
        event = {"kind": "adjustment", "order": None, "program_version": document["version"]}
        self._post(member, movements, event | {"occurred_at": at, "effective_at": effective})
        self.settle(member, effective)
        return "posted"

    def _arrives(self, member: Member, data: dict[str, Any], arrived_at: datetime) -> datetime:
        """Settles the account to the effective instant of an event, which it returns."""
        at = parsed(data["occurred_at"])
        effective = max(min(at, arrived_at), arrived_at - self.lateness, member.settled_to)
        self.settle(member, effective)
        return effective

    def sweep(self, member_id: str, until: datetime) -> None:
        self.settle(self.member(member_id), until)

    def balances_at(self, member_id: str, instant: datetime) -> dict[str, dict[str, int]]:
        """What the member sees at an instant, whether or not anybody has swept."""
        now = self.member(member_id)
        member = Member(now.settled_to, *copy.deepcopy((now.lots, now.debts, now.balances)))
        self.settle(member, instant)
        return member.balances

    def settle(self, member: Member, until: datetime) -> None:
        """Each due instant makes a posting of its own: first what becomes active, then what expires."""
        while (due := member.next_due()) is not None and due <= until:
            movements: list[Movement] = []
            for lot in member.lots:
                if lot.remaining and lot.activates_at == due:
                    self._activate(member, lot, movements)
            for lot in member.lots:
                if lot.remaining and lot.activates_at is None and lot.expires_at == due:
                    movements.append(movement((lot.wallet, "available", "expired"), lot.remaining, lot))
                    lot.remaining, lot.expired = 0, lot.remaining
            version = (self.in_force(due) or {}).get("version")
            instants = {"occurred_at": due, "effective_at": max(due, member.settled_to)}
            self._post(member, movements, instants | {"kind": "settlement", "order": None, "program_version": version})

    def _over_the_limit(self, member: Member, gifts: list[tuple[str, int]]) -> bool:
        issued = {wallet: -buckets.get("issued", 0) for wallet, buckets in member.balances.items()}
        for wallet, points in gifts:
            issued[wallet] = issued.get(wallet, 0) + points
        return any(points > BALANCE_LIMIT for points in issued.values())

    def _accrue(self, member: Member, order: Order, document: Document, grants: list[Any], effective: datetime) -> None:
        together: dict[Any, list[Any]] = {}
        for rule, by_part, _ in grants:
            starts, ends = validity(rule, document, parsed(order["occurred_at"]))
            if by_part:
                together.setdefault((rule["wallet"], starts, ends), []).extend(by_part.items())
        movements: list[Movement] = []
        for lot_facts, parts in together.items():
            self._give(member, lot_facts, parts, order["order_id"], movements)
        take_back(member, member.rated[order["order_id"]], self._spendable, movements, effective)
        instants = {"occurred_at": parsed(order["occurred_at"]), "effective_at": effective}
        event = {"kind": "accrual", "order": order["order_id"], "program_version": document["version"]}
        self._post(member, movements, instants | event)

    def _give(
        self,
        member: Member,
        lot_facts: tuple[str, datetime | None, datetime | None],
        parts: list[tuple[str | None, int]],
        order_id: str | None,
        movements: list[Movement],
    ) -> None:
        """Issues the points of some rules, or of none, in one lot, or in none where a counter needs none."""
        wallet, starts, ends = lot_facts
        points = sum(part for _, part in parts)
        lot = None
        if self._spendable(wallet) or starts or ends:
            lot = Lot(len(member.lots) + 1, wallet, order_id, points, points, starts, ends)
            member.lots.append(lot)
        for rule_id, part in parts:
            row = movement((wallet, "issued", "pending" if starts else "available"), part, lot, rule_id)
            movements.append(row | {"order": order_id})
        if starts is None:
            self._repay(member, wallet, points, lot, movements)

    def _activate(self, member: Member, lot: Lot, movements: list[Movement]) -> None:
        lot.activates_at = None
        movements.append(movement((lot.wallet, "pending", "available"), lot.remaining, lot))
        self._repay(member, lot.wallet, lot.remaining, lot, movements)
        if lot.expires_at is None and not self._spendable(lot.wallet):
            lot.remaining = 0  # nothing of this counter is due any more: it needs no lot

    def _repay(self, member: Member, wallet: str, points: int, lot: Lot | None, movements: list[Movement]) -> None:
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

    def _post(self, member: Member, movements: list[Movement], facts: dict[str, Any]) -> None:
        for row in movements:
            buckets = member.balances.setdefault(row["wallet"], {})
            buckets[row["from"]] = buckets.get(row["from"], 0) - row["amount"]
            buckets[row["to"]] = buckets.get(row["to"], 0) + row["amount"]
        member.settled_to = facts["effective_at"]
        after = {"balances": copy.deepcopy(member.balances), "next_due_at": member.next_due()}
        member.postings.append(facts | after | {"version": len(member.postings) + 1, "movements": movements})


def early(data: dict[str, Any], arrived_at: datetime) -> timedelta:
    """By how much an event is ahead of its arrival; negative when it is late."""
    return parsed(data["occurred_at"]) - arrived_at


def first_that_applies(reasons: dict[str, bool]) -> str:
    return next((name for name, applies in reasons.items() if applies), "")
