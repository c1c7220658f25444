"""What refunds take back of the points of an order: how much, by all of them together, and from where.

A part of the naive model. The data of a refund are a plain dict, like those of an order.
"""

from collections.abc import Callable
from datetime import datetime
from fractions import Fraction
from math import floor
from typing import Any

from tests.property.naive_account import Lot, Member, Movement, Rated, Refund, movement
from tests.property.naive_rating import Document, Order, counted, minor_units

Source = tuple[str, Lot | None, int]
"""A bucket, a lot in it, and how many points there are."""


def belongs(refund: Refund, order: Order) -> bool:
    """Whether it is of the order's currency and lines; one that is not counts nothing at all."""
    lines = [line["line_id"] for line in order["lines"]]
    return refund["currency"] == order["currency"] and all(part["line_id"] in lines for part in parts_of([refund]))


def that_belong(member: Member, rated: Rated) -> list[Refund]:
    return [refund for refund in member.refunds.get(rated.order["order_id"], []) if belongs(refund, rated.order)]


def parts_of(refunds: list[Refund]) -> list[dict[str, Any]]:
    return [part for refund in refunds for part in refund.get("lines", [])]


def pieces(line: Document, refunds: list[Refund]) -> Fraction:
    """What part of a line's pieces was given back as pieces. A line without pieces counts as one."""
    given = sum(part.get("quantity", 0) for part in parts_of(refunds) if part["line_id"] == line["line_id"])
    return Fraction(given, max(line["quantity"], 1))


def money_by_line(order: Order, refunds: list[Refund]) -> dict[str, Fraction]:
    """What was given back for each line as such, even if that is more than was paid."""
    found = {line["line_id"]: line["paid"] * pieces(line, refunds) for line in order["lines"]}
    for part in parts_of(refunds):
        found[part["line_id"]] += part.get("amount", 0)
    return found


def left_by_lines(order: Order, refunds: list[Refund]) -> Fraction:
    """What was paid for the lines, less what was given back for each of them."""
    by_line = money_by_line(order, refunds)
    return sum((line["paid"] - min(line["paid"], by_line[line["line_id"]]) for line in order["lines"]), Fraction(0))


def for_the_order(refunds: list[Refund]) -> int:
    return sum(refund.get("amount", 0) for refund in refunds)


def over_refunded(order: Order, refunds: list[Refund]) -> bool:
    """More was given back, of some line or of the order, than was paid. Shipping and `full` do not count here."""
    by_line = money_by_line(order, refunds)
    return any(
        by_line[line["line_id"]] > line["paid"] or pieces(line, refunds) > 1 for line in order["lines"]
    ) or for_the_order(refunds) > left_by_lines(order, refunds)


def fractions(order: Order, refunds: list[Refund]) -> dict[str, Fraction]:
    """What part of each line was refunded, by all refunds of the order together."""
    if any(refund.get("full") for refund in refunds):
        return {line["line_id"]: Fraction(1) for line in order["lines"]}
    by_line = money_by_line(order, refunds)
    left = left_by_lines(order, refunds)
    of_the_rest = min(for_the_order(refunds) / left, Fraction(1)) if left else Fraction(1)
    found: dict[str, Fraction] = {}
    for line in order["lines"]:
        paid, name = line["paid"], line["line_id"]
        own = min(by_line[name], Fraction(paid))
        if paid:
            found[name] = (own + of_the_rest * (paid - own)) / paid
        elif of_the_rest == 1 and any(other["paid"] for other in order["lines"]):
            found[name] = Fraction(1)
        else:
            found[name] = min(pieces(line, refunds), Fraction(1))
    return found


def claws(rated: Rated, refunds: list[Refund]) -> dict[str, int]:
    """How many points of each rule all refunds of the order together take back."""
    parts = fractions(rated.order, refunds)
    # What a limit or a cap trims was never given, and is taken back first.
    return {
        rule["id"]: max(0, claw(rule, shares, rated, parts) - (sum(shares.values()) - sum(given.values())))
        for rule, given, shares in rated.grants
    }


def claw(rule: Document, shares: dict[str, int], rated: Rated, parts: dict[str, Fraction]) -> int:
    policy = rule["threshold"].get("on_refund", "recompute") if "threshold" in rule else "prorata"
    if policy == "prorata":
        return sum(floor(points * parts[line]) for line, points in shares.items())
    bases = counted(rule, rated.order, rated.document)
    remain = sum(base * (1 - parts[line]) for line, base in bases.items())
    if policy == "recompute":
        least = minor_units(rule["threshold"]["from"], rated.order)
    else:
        least = Fraction(sum(bases.values()), 2)
    everything = all(part == 1 for part in parts.values())
    return sum(shares.values()) if everything or remain < least else 0


def take_back(
    member: Member, rated: Rated, spendable: Callable[[str], bool], movements: list[Movement], now: datetime
) -> None:
    """What all refunds of an order take back, less what was taken before; adds to `movements`, rule by rule."""
    order_id = rated.order["order_id"]
    shortfall = rated.document.get("refunds", {}).get("shortfall", "debt")
    together = claws(rated, that_belong(member, rated))
    for rule, _, _ in rated.grants:
        name, wallet = rule["id"], rule["wallet"]
        points = together[name] - rated.clawed.get(name, 0)
        rated.clawed[name] = together[name]
        sources = own_sources(member, wallet, order_id, now)
        sources += [("available", lot, lot.remaining) for lot in others(member, wallet, order_id)]
        if not spendable(wallet):
            sources.append(("available", None, member.without_lot(wallet, movements)))
        rows = taken(points, wallet, sources, "clawed_back")
        missing = points - sum(row["amount"] for row in rows)
        if missing:
            bucket = {"debt": "debt", "clip": "written_off", "cash_offset": "cash_offset"}[shortfall]
            rows.append(movement((wallet, bucket, "clawed_back"), missing, None))
        if missing and shortfall == "clip":
            rated.let_go[name] = rated.let_go.get(name, 0) + missing
        if missing and shortfall == "debt":
            owe(member, wallet, order_id, missing)
        movements += [row | {"rule": name, "order": order_id} for row in rows]


def own_sources(member: Member, wallet: str, order_id: str, now: datetime) -> list[Source]:
    """The order's own lots by their number: what is pending, then what is active, then what has ended unspent.

    Of an order that came after its refund nothing is settled yet; what should have been by now counts as if it were.
    """
    lots = [lot for lot in member.lots if lot.wallet == wallet and lot.order_id == order_id]
    ended = [lot for lot in lots if lot.expires_at and lot.expires_at <= now]
    pending = [lot for lot in lots if lot not in ended and lot.activates_at and lot.activates_at > now]
    active = [lot for lot in lots if lot not in ended and lot not in pending]
    sources: list[Source] = [
        ("pending" if lot.activates_at else "available", lot, lot.remaining) for lot in pending + active + ended
    ]
    return sources + [("expired", lot, lot.expired) for lot in lots]


def others(member: Member, wallet: str, order_id: str) -> list[Lot]:
    return [lot for lot in member.active_lots(wallet) if lot.order_id != order_id]


def taken(points: int, wallet: str, sources: list[Source], to: str) -> list[Movement]:
    """Takes points from one source after the other, as far as they go."""
    rows: list[Movement] = []
    for bucket, lot, there in sources:
        part = min(points, there)
        if part == 0:
            continue
        rows.append(movement((wallet, bucket, to), part, lot))
        points -= part
        if lot and bucket == "expired":
            lot.expired -= part
        elif lot:
            lot.remaining -= part
    return rows


def owe(member: Member, wallet: str, order_id: str, points: int) -> None:
    """One debt for each wallet and order; a new one comes last."""
    for debt in member.debts:
        if debt[:2] == [wallet, order_id]:
            debt[2] += points
            return
    member.debts.append([wallet, order_id, points])
