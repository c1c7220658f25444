"""What rules with multipliers and limits give, against the same said once more, rule by rule, in fractions."""

from datetime import UTC, datetime
from fractions import Fraction
from itertools import pairwise
from math import floor
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from shared.contracts.program import ProgramDocument
from shared.domain.accrue import rate
from shared.domain.member import Profile
from tests.property.core import order_of

Document = dict[str, Any]

SETTINGS = settings(max_examples=400, deadline=None, print_blob=True)
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")

FACTORS = st.sampled_from(["1", "1.2", "1.5", "2", "3", "4/3", "7/6", "100", "1.000000001"])
EARNINGS: st.SearchStrategy[Document] = st.sampled_from(
    [
        {"rate": "1"},
        {"rate": "1"},
        {"rate": "1/3"},
        {"rate": "1.2"},
        {"step": {"every": "2", "points": 5}},
        {"threshold": {"from": "10", "points": 7}},
        {"per_item": 3},
    ]
)
MATCHES: st.SearchStrategy[Document] = st.sampled_from(
    [
        {},
        {},
        {"channels": ["app"]},
        {"payment_methods": ["card", "cash"]},
        {"exclude_skus": ["apple"]},
        {"exclude_brands": ["house"], "categories": ["fresh", "dry"]},
        {"exclude_categories": ["fresh"]},
    ]
)
PIECES = st.tuples(
    st.sampled_from(
        [("apple", "fresh", None), ("apple", "fresh", "house"), ("salt", "dry", "house"), ("bag", None, None)]
    ),
    st.sampled_from([1, 2, 3, 0]),
    st.sampled_from([0, 1, 99, 100, 1000, 2005, 5990, 11_995]) | st.integers(0, 30_000),
    st.sampled_from([0, 0, 19]),
)
"""What it is (SKU, category, brand), how many, cents without tax, and percent of tax."""
CONDITIONS: st.SearchStrategy[Document] = st.sampled_from(
    [
        {},
        {},
        {"match": {"channels": ["app"]}},
        {"match": {"payment_methods": ["card"], "stores": ["north"]}},
        {"days": {"weekdays": ["friday", "saturday"]}},
        {"days": {"days_of_month": [1, 28, 29]}},
        {"days": "birthday"},
        {"during": {"from": "2024-02-29T00:00:00Z", "until": "2024-03-01T00:00:00Z"}},
    ]
)
INSTANTS = st.sampled_from(
    [
        datetime(2024, 2, 28, 23, 59, 59, 999_999, tzinfo=UTC),
        datetime(2024, 2, 29, tzinfo=UTC),
        datetime(2024, 2, 29, 23, 59, 59, 999_999, tzinfo=UTC),
        datetime(2024, 3, 1, tzinfo=UTC),
        datetime(2026, 2, 28, 12, tzinfo=UTC),
    ]
)
PROFILES = st.builds(
    Profile,
    tier=st.sampled_from([None, "silver", "gold", "bronze"]),
    birthday=st.sampled_from([None, (2, 28), (2, 29), (3, 1)]),
)


@st.composite
def rule_lists(draw: st.DrawFn) -> list[Document]:
    rules = []
    for number in range(draw(st.integers(1, 5))):
        limits = sorted(draw(st.lists(st.sampled_from([1, 5, 20, 150]), min_size=2, max_size=2)))
        names = draw(st.sampled_from([(), (), ("at_least",), ("at_most",), ("at_least", "at_most")]))
        rule = {"id": f"r{number}", "wallet": "points", "match": draw(MATCHES)} | draw(EARNINGS)
        rule |= {name: limit for name, limit in zip(("at_least", "at_most"), limits, strict=True) if name in names}
        rules.append(rule | ({"first_order": True} if draw(st.sampled_from([False, False, True])) else {}))
    return rules


@st.composite
def multiplier_lists(draw: st.DrawFn, rules: list[Document]) -> list[Document]:
    found = []
    default = any("rate" in rule or "step" in rule for rule in rules)
    for number in range(draw(st.integers(1, 4))):
        by: Document = {"factor": draw(FACTORS)}
        if draw(st.booleans()):
            by = {"by_tier": {"silver": draw(FACTORS), "gold": draw(FACTORS)}}
        if not default or draw(st.booleans()):
            by["rules"] = draw(st.lists(st.sampled_from([rule["id"] for rule in rules]), min_size=1))
        found.append({"id": f"m{number}"} | by | draw(CONDITIONS))
    return found


@st.composite
def orders(draw: st.DrawFn) -> Document:
    lines = []
    for number, ((sku, category, brand), quantity, price, percent) in enumerate(
        draw(st.lists(PIECES, min_size=1, max_size=5))
    ):
        tax = price * percent // 100
        goods = {"line_id": f"l{number}", "sku": sku, "category": category, "brand": brand, "quantity": quantity}
        money = {"list_price": price, "discount": 0, "tax": tax, "paid": price + tax, "paid_in_points": 0}
        lines.append(goods | money)
    return {
        "order_id": "o1",
        "member_id": "m1",
        "currency": "USD",
        "paid": sum(each["paid"] for each in lines),
        "shipping": 0,
        "channel": draw(st.sampled_from([None, "app", "web"])),
        "store": draw(st.sampled_from([None, "north"])),
        "payment_method": draw(st.sampled_from([None, "card", "cash", "points"])),
        "occurred_at": draw(INSTANTS).isoformat(),
        "lines": lines,
    }


@SETTINGS
@given(st.data())
def test_every_rule_gives_what_it_is_said_to_give(data: st.DataObject) -> None:
    rules = data.draw(rule_lists())
    document = {
        "program": "random",
        "version": 1,
        "effective_from": "2000-01-01T00:00:00Z",
        "zone": "UTC",
        "currency": "USD",
        "wallets": {"points": {"spendable": True, "expiry": "never"}},
        "rules": rules,
        "stacking": data.draw(st.sampled_from(["additive", "multiplicative"])),
        "tiers": [{"id": "silver"}, {"id": "gold"}],
        "multipliers": data.draw(multiplier_lists(rules)),
    }
    order, profile, first_order = data.draw(orders()), data.draw(PROFILES), data.draw(st.booleans())
    paid = order_of(order)
    paid.payment_method = order["payment_method"]
    rated, granted = rate(paid, ProgramDocument.model_validate(document).to_domain(), profile, first_order)
    said = [told(rule, document, order, profile) for rule in rules if first_order or "first_order" not in rule]
    names = [line["line_id"] for line in order["lines"]]
    frozen = {rule_id: dict(zip(names, points, strict=True)) for rule_id, points in rated.points.items()}
    assert [(rule.rule_id, points) for rule, points in granted] == [part for parts, _, _ in said for part in parts]
    assert without_zeros(frozen) == without_zeros({parts[0][0].split("/")[0]: of for parts, of, _ in said if parts})
    assert rated.trimmed == {parts[0][0].split("/")[0]: trimmed for parts, _, trimmed in said if trimmed}
    for rule_id, points in rated.points.items():
        own = [part for rule, part in granted if rule.rule_id.split("/")[0] == rule_id]
        assert sum(own) == sum(points) - rated.trimmed.get(rule_id, 0)


Told = tuple[list[tuple[str, int]], dict[str, int], int]
"""The parts that a rule gives, its points by line, and how many of these are trimmed."""


def told(rule: Document, document: Document, order: Document, profile: Profile) -> Told:
    weights = {line["line_id"]: weight(rule, line) for line in order["lines"] if counts(rule["match"], line)}
    total = sum(weights.values())
    if not takes(rule["match"], order) or total == 0:
        return [], {}, 0
    exact = worth(rule, total)
    by = [by for by in document["multipliers"] if multiplies(by, rule) and is_met(by, order, profile)]
    by.sort(key=lambda by: "by_tier" not in by)
    factors = [Fraction(by["factor"] if "factor" in by else by["by_tier"].get(profile.tier, 1)) for by in by]
    totals = [floor(exact * stacked(factors[:count], document["stacking"])) for count in range(len(by) + 1)]
    if totals[-1] == 0:
        return [], {}, 0
    points = max(totals[-1], rule.get("at_least", 0))
    amounts = [totals[0] + points - totals[-1]] + [after - before for before, after in pairwise(totals)]
    if points > totals[-1] or "step" in rule or "threshold" in rule:
        shares = {name: Fraction(points * each, total) for name, each in weights.items()}
    else:
        shares = {
            name: exact * stacked(factors, document["stacking"]) * Fraction(each, total)
            for name, each in weights.items()
        }
    room = at_most = rule.get("at_most", points)
    for number, amount in enumerate(amounts):
        amounts[number] = min(amount, room)
        room -= amounts[number]
    names = [rule["id"], *(f"{rule['id']}/{each['id']}" for each in by)]
    parts = [(name, amount) for name, amount in zip(names, amounts, strict=True) if amount]
    return parts, largest_remainder(points, shares), max(points - at_most, 0)


def largest_remainder(points: int, shares: dict[str, Fraction]) -> dict[str, int]:
    """Every line its whole points, then one more each by the largest fraction, the lower line first."""
    given = {name: floor(share) for name, share in shares.items()}
    by_fraction = sorted(shares, key=lambda name: given[name] - shares[name])  # a stable sort
    for name in by_fraction[: points - sum(given.values())]:
        given[name] += 1
    return given


def stacked(factors: list[Fraction], stacking: str) -> Fraction:
    if stacking == "additive":
        return 1 + sum((factor - 1 for factor in factors), Fraction(0))
    product = Fraction(1)
    for factor in factors:
        product *= factor
    return product


def weight(rule: Document, line: Document) -> int:
    amount: int = line["quantity"] if "per_item" in rule else max(line["paid"] - line["tax"], 0)
    return amount


def worth(rule: Document, total: int) -> Fraction:
    """What a rule gives by itself, exactly. Amounts are in cents."""
    if "rate" in rule:
        return Fraction(rule["rate"]) * total / 100
    if "per_item" in rule:
        return Fraction(rule["per_item"] * total)
    if "step" in rule:
        return Fraction(floor(total / (100 * Fraction(rule["step"]["every"]))) * rule["step"]["points"])
    return Fraction(rule["threshold"]["points"] if total >= 100 * int(rule["threshold"]["from"]) else 0)


def counts(match: Document, line: Document) -> bool:
    fields = {"categories": "category", "brands": "brand", "skus": "sku"}
    wanted = all(line[field] in match[name] for name, field in fields.items() if name in match)
    return wanted and not any(line[field] in match.get(f"exclude_{name}", []) for name, field in fields.items())


def takes(match: Document, order: Document) -> bool:
    fields = {"channels": "channel", "stores": "store", "payment_methods": "payment_method"}
    return all(order[field] in match[name] for name, field in fields.items() if name in match)


def multiplies(by: Document, rule: Document) -> bool:
    return rule["id"] in by["rules"] if "rules" in by else "rate" in rule or "step" in rule


def is_met(by: Document, order: Document, profile: Profile) -> bool:
    at = datetime.fromisoformat(order["occurred_at"])
    window = by.get("during")
    if window and not datetime.fromisoformat(window["from"]) <= at < datetime.fromisoformat(window["until"]):
        return False
    on = by.get("days", {})
    if on == "birthday":
        leap_day = (2, 29) if at.year == 2024 else (2, 28)
        days = [leap_day] if profile.birthday == (2, 29) else [profile.birthday]
        return (at.month, at.day) in days and takes(by.get("match", {}), order)
    if DAYS[at.weekday()] not in on.get("weekdays", DAYS) or at.day not in on.get("days_of_month", [at.day]):
        return False
    return takes(by.get("match", {}), order)


def without_zeros(points: dict[Any, dict[str, int]]) -> dict[str, dict[str, int]]:
    return {str(rule): {line: n for line, n in lines.items() if n} for rule, lines in points.items()}
