"""The rules of SEMANTICS once more, as simply as they can be said: one event at a time, lists, dicts, fractions.

It shares nothing with `shared.domain`: it reads program documents and order data as plain dicts, knows instants as
aware datetimes, and looks every local day up in the zone, quarter of an hour by quarter of an hour.
"""

import calendar
import copy
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from functools import cache
from importlib.resources import files
from math import floor
from typing import Any
from zoneinfo import ZoneInfo

Document = dict[str, Any]
Order = dict[str, Any]

BALANCE_LIMIT = 10**18
EXPONENTS = {"USD": 2, "EUR": 2, "CNY": 2, "JPY": 0, "KWD": 3}
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
DEFAULTS = {"allowed_lateness": "60s", "late_tolerance": "30d", "future_tolerance": "5m"}


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


def rated(rule: Document, order: Order, document: Document) -> tuple[int, dict[str, int]]:
    """The points of a rule for an order, and how they fall to its lines."""
    if not in_time(rule, order):
        return 0, {}
    lines = [line for line in order["lines"] if fits(rule.get("match", {}), line, order)]
    all_bases = bases_of(order, document.get("base", {}))
    bases = {line["line_id"]: all_bases[line["line_id"]] for line in lines}
    if "rate" in rule:
        return at_a_rate(rule, order, bases)
    if "step" in rule:
        every = minor_units(rule["step"]["every"], order)
        return in_proportion(rule["step"]["points"] * floor(sum(bases.values()) / every), bases)
    if "threshold" in rule:
        reached = sum(bases.values()) >= minor_units(rule["threshold"]["from"], order)
        return in_proportion(rule["threshold"]["points"] if reached else 0, bases)
    return by_piece(rule, lines)


def in_time(rule: Document, order: Order) -> bool:
    """A rule with `during` looks only at orders from its first instant on, and before its last."""
    if "during" not in rule:
        return True
    return parsed(rule["during"]["from"]) <= parsed(order["occurred_at"]) < parsed(rule["during"]["until"])


def fits(match: Document, line: Document, order: Order) -> bool:
    return (
        wanted(match, "categories", line.get("category"))
        and wanted(match, "brands", line.get("brand"))
        and wanted(match, "skus", line["sku"])
        and wanted(match, "channels", order.get("channel"))
        and wanted(match, "stores", order.get("store"))
    )


def at_a_rate(rule: Document, order: Order, bases: dict[str, int]) -> tuple[int, dict[str, int]]:
    """The exact products of all lines together, rounded down once."""
    per_minor_unit = Fraction(str(rule["rate"])) / 10 ** EXPONENTS[order["currency"]]
    products = {name: per_minor_unit * base for name, base in bases.items()}
    points = floor(sum(products.values()))
    return points, largest_remainder(points, products)


def by_piece(rule: Document, lines: list[Document]) -> tuple[int, dict[str, int]]:
    """Every line has the points of its own pieces."""
    shares = {line["line_id"]: line["quantity"] * rule["per_item"] for line in lines if line["quantity"]}
    return sum(shares.values()), shares


def in_proportion(points: int, bases: dict[str, int]) -> tuple[int, dict[str, int]]:
    """Points for all lines together, and how they fall to them by their bases."""
    if points == 0:
        return 0, {}
    total = sum(bases.values())
    return points, largest_remainder(points, {name: Fraction(points * base, total) for name, base in bases.items()})


def minor_units(money: Any, order: Order) -> Fraction:
    """An amount of the document, which is in whole units of the currency."""
    return Fraction(str(money)) * Fraction(10) ** EXPONENTS[order["currency"]]


def one_of_each_group(grants: list[Any], groups: Document) -> list[Any]:
    """Of the rules of a group that give points only one does: the first, or the first of those that give the most."""
    winners: dict[str, Any] = {}
    for group, policy in groups.items():
        rivals = [grant for grant in grants if grant[0].get("group") == group]
        if rivals and policy == "first":
            winners[group] = rivals[0]
        elif rivals:
            most = max(points for _, points, _ in rivals)
            winners[group] = next(grant for grant in rivals if grant[1] == most)
    return [grant for grant in grants if "group" not in grant[0] or grant is winners[grant[0]["group"]]]


def bases_of(order: Order, switches: Document) -> dict[str, int]:
    """What counts of each line. Shipping, where it counts, is dealt out like points: by largest remainder of the lines'
    exact shares, and all of it to the first line where nothing else counts."""
    bases = {line["line_id"]: base_of(line, switches) for line in order["lines"]}
    if not switches.get("shipping"):
        return bases
    total = sum(bases.values())
    first = order["lines"][0]["line_id"]
    shipping = order["shipping"]
    exact = {name: Fraction(shipping * base, total) if total else Fraction(0) for name, base in bases.items()}
    parts = largest_remainder(shipping, exact) if total else {first: shipping}
    return {name: base + parts.get(name, 0) for name, base in bases.items()}


def base_of(line: Document, switches: Document) -> int:
    """Money after discounts; tax and the part paid in points only where the program says so; never negative."""
    base: int = line["paid"]
    if not switches.get("tax"):
        base -= line["tax"]
    if switches.get("paid_in_points"):
        base += line["paid_in_points"]
    return max(base, 0)


def wanted(match: Document, name: str, value: str | None) -> bool:
    return name not in match or value in match[name]


def largest_remainder(points: int, products: dict[str, Fraction]) -> dict[str, int]:
    """Every line its whole points, then one more each by the largest fraction, the lower line first."""
    shares = {line: floor(product) for line, product in products.items()}
    by_fraction = sorted(products, key=lambda line: shares[line] - products[line])  # a stable sort
    for line in by_fraction[: points - sum(shares.values())]:
        shares[line] += 1
    return {line: share for line, share in shares.items() if share}


def by_line(grants: list[Any]) -> dict[str, dict[str, int]]:
    lines: dict[str, dict[str, int]] = {}
    for rule, _, shares in grants:
        for line, points in shares.items():
            lines.setdefault(line, {})[rule["id"]] = points
    return lines


def validity(rule: Document, document: Document, paid_at: datetime) -> tuple[datetime | None, datetime | None]:
    """When the points become active (None: at once) and when they end (None: never)."""
    zone = document["zone"]
    pending = rule.get("pending")
    starts = None
    if pending and pending.get("exact"):
        starts = paid_at + timedelta(hours=24 * pending["days"])
        active_day = local_date(zone, starts)
    elif pending:
        active_day = local_date(zone, paid_at) + timedelta(days=pending["days"] + 1)
        starts = first_instant(zone, active_day)
    else:
        active_day = local_date(zone, paid_at)
    last_day = last_valid_day(document["wallets"][rule["wallet"]]["expiry"], active_day)
    return starts, first_instant(zone, last_day + timedelta(days=1)) if last_day else None


def last_valid_day(expiry: Any, active_day: date) -> date | None:
    if expiry == "never":
        return None
    if "days" in expiry:
        return active_day + timedelta(days=expiry["days"])
    if "end_of_year" in expiry:
        return date(active_day.year + expiry["end_of_year"], 12, 31)
    months = active_day.year * 12 + active_day.month - 1 + expiry["months"]
    year, month = months // 12, months % 12 + 1
    return date(year, month, min(active_day.day, calendar.monthrange(year, month)[1]))


@cache
def zone_info(name: str) -> ZoneInfo:
    """The zone as the pinned `tzdata` package has it, whatever the machine has."""
    with files("tzdata").joinpath("zoneinfo", *name.split("/")).open("rb") as file:
        return ZoneInfo.from_file(file, key=name)


def local_date(zone: str, instant: datetime) -> date:
    return instant.astimezone(zone_info(zone)).date()


@cache
def first_instant(zone: str, day: date) -> datetime:
    """The first instant at which the zone's date is `day`, or past it if the zone skipped that day."""
    return next(instant for instant in _quarters(day) if local_date(zone, instant) >= day)


def _quarters(day: date) -> Iterator[datetime]:
    start = datetime(day.year, day.month, day.day, tzinfo=UTC) - timedelta(hours=26)
    return (start + timedelta(minutes=15 * step) for step in range(4 * 52))


def parsed(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def duration(document: Document, name: str) -> timedelta:
    text = document.get(name, DEFAULTS[name])
    unit = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}[text[-1]]
    return timedelta(**{unit: int(text[:-1])})
