"""What an order gives, and when: rules, shares of lines, days and instants, each as simply as it can be said.

A part of the naive model.
"""

import calendar
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from functools import cache
from importlib.resources import files
from itertools import pairwise
from math import floor, prod
from typing import Any
from zoneinfo import ZoneInfo

Document = dict[str, Any]
Order = dict[str, Any]

EXPONENTS = {"USD": 2, "EUR": 2, "CNY": 2, "JPY": 0, "KWD": 3}
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
DEFAULTS = {"allowed_lateness": "60s", "late_tolerance": "30d", "future_tolerance": "5m"}


def rated(rule: Document, order: Order, document: Document) -> tuple[dict[str, int], dict[str, int]]:
    """The points of a rule for an order by part, its own first; and how they fall to the lines, before `at_most`."""
    if not in_time(rule, order):
        return {}, {}
    weights = counted(rule, order, document)
    if "per_item" in rule:
        weights = {line["line_id"]: line["quantity"] for line in order["lines"] if line["line_id"] in weights}
    total = sum(weights.values())
    exact = worth(rule, order, total)
    factors = factors_of(rule, order, document)
    totals = [floor(exact * stacked(list(factors.values())[:count], document)) for count in range(len(factors) + 1)]
    if totals[-1] == 0:
        return {}, {}
    points = max(totals[-1], rule.get("at_least", 0))
    grown = [after - before for before, after in pairwise(totals)]
    parts = dict(zip([rule["id"], *factors], [totals[0] + points - totals[-1], *grown], strict=True))
    as_a_whole = points > totals[-1] or "step" in rule or "threshold" in rule
    to_share = Fraction(points) if as_a_whole else exact * stacked(list(factors.values()), document)
    shares = largest_remainder(points, {name: to_share * weight / total for name, weight in weights.items()})
    return cut(parts, points - rule.get("at_most", points)), shares


def cut(parts: dict[str, int], points: int) -> dict[str, int]:
    """Parts without so many of their points: the last one loses first. Those that come to nothing are left out."""
    left = {}
    for name, amount in reversed(parts.items()):
        lost = min(amount, max(points, 0))
        points -= lost
        left[name] = amount - lost
    return {name: left[name] for name in parts if left[name]}


def worth(rule: Document, order: Order, total: int) -> Fraction:
    """What a rule gives by itself for what it counts, exactly."""
    if "per_item" in rule:
        return Fraction(rule["per_item"] * total)
    if "rate" in rule:
        return Fraction(str(rule["rate"])) * total / 10 ** EXPONENTS[order["currency"]]
    if "step" in rule:
        return Fraction(floor(total / minor_units(rule["step"]["every"], order)) * rule["step"]["points"])
    reached = total >= minor_units(rule["threshold"]["from"], order)
    return Fraction(rule["threshold"]["points"] if reached else 0)


def factors_of(rule: Document, order: Order, document: Document) -> dict[str, Fraction]:
    """The factors that hold for an order, by the names of their parts. Those by tier do nothing: nobody has a tier."""
    return {
        f"{rule['id']}/{by['id']}": Fraction(str(by["factor"]))
        for by in document.get("multipliers", [])
        if "factor" in by
        and (rule["id"] in by["rules"] if "rules" in by else "rate" in rule or "step" in rule)
        and in_time(by, order)
        and on_its_day(by.get("days", {}), order, document)
        and takes(by.get("match", {}), order)
    }


def on_its_day(days: Document, order: Order, document: Document) -> bool:
    day = local_date(document["zone"], parsed(order["occurred_at"]))
    weekday = WEEKDAYS[day.weekday()]
    return weekday in days.get("weekdays", [weekday]) and day.day in days.get("days_of_month", [day.day])


def stacked(factors: list[Fraction], document: Document) -> Fraction:
    """What several factors come to: what each adds adds up, or they multiply each other."""
    if document.get("stacking") == "multiplicative":
        return Fraction(prod(factors))
    return 1 + sum((factor - 1 for factor in factors), Fraction(0))


def counted(rule: Document, order: Order, document: Document) -> dict[str, int]:
    """The lines that a rule counts, each with its base."""
    bases = bases_of(order, document.get("base", {}))
    lines = [line["line_id"] for line in order["lines"] if fits(rule.get("match", {}), line, order)]
    return {line: bases[line] for line in lines}


def in_time(rule: Document, order: Order) -> bool:
    """A rule with `during` looks only at orders from its first instant on, and before its last."""
    if "during" not in rule:
        return True
    return parsed(rule["during"]["from"]) <= parsed(order["occurred_at"]) < parsed(rule["during"]["until"])


def fits(match: Document, line: Document, order: Order) -> bool:
    fields = {"categories": line.get("category"), "brands": line.get("brand"), "skus": line["sku"]}
    return (
        all(wanted(match, name, value) for name, value in fields.items())
        and not any(value in match.get(f"exclude_{name}", []) for name, value in fields.items())
        and takes(match, order)
    )


def takes(match: Document, order: Order) -> bool:
    """Whether the filters of orders let one through."""
    fields = {"channels": "channel", "stores": "store", "payment_methods": "payment_method"}
    return all(wanted(match, name, order.get(field)) for name, field in fields.items())


def minor_units(money: Any, order: Order) -> Fraction:
    """An amount of the document, which is in whole units of the currency."""
    return Fraction(str(money)) * Fraction(10) ** EXPONENTS[order["currency"]]


def one_of_each_group(grants: list[Any], groups: Document) -> list[Any]:
    """Of the rules of a group that give points only one does: the first, or the first of those that give the most.

    A grant is a rule, its points by part, and by line."""
    winners: dict[str, Any] = {}
    for group, policy in groups.items():
        rivals = [grant for grant in grants if grant[0].get("group") == group]
        if rivals and policy == "first":
            winners[group] = rivals[0]
        elif rivals:
            most = max(sum(parts.values()) for _, parts, _ in rivals)
            winners[group] = next(grant for grant in rivals if sum(grant[1].values()) == most)
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
