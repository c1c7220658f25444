"""Streams of events out of plain random numbers: quick to draw, so that many can be played. They have a taste for what
meets: several refunds of one order in any split, before it and after it, twice, in the middle of other orders and of
points that are spent."""

from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from tests.property.event_data import line
from tests.property.histories import AdjustmentArrival, Arrival, Event, History, RefundArrival, Step, Sweep
from tests.property.naive_rating import Document

START = datetime(2026, 3, 10, 12, tzinfo=UTC)
GOODS = (("apple", "fresh", None), ("apple", "fresh", "house"), ("salt", "dry", "house"), ("bag", None, None))
PRICES = (0, 1, 99, 100, 2_000, 2_005, 5_990, 11_995, 20_000)
SETTLEMENTS = ((0, 0, 0), (0, 0, 0), (10, 19, 0), (0, 8, 100), (5, 7, 30))
MATCHES: tuple[Document, ...] = (
    {},
    {},
    {},
    {"categories": ["fresh"]},
    {"brands": ["house"]},
    {"channels": ["app"]},
    {"skus": ["apple", "bag"], "exclude_brands": ["house"]},
    {"exclude_categories": ["fresh"]},
    {"exclude_skus": ["salt"], "payment_methods": ["card", "cash"]},
    {"stores": ["north"]},
)
LIMITS: tuple[Document, ...] = (
    {},
    {},
    {},
    {},
    {"at_least": 10},
    {"at_most": 5},
    {"at_most": 60},
    {"at_least": 20, "at_most": 60},
)
WHEN: tuple[Document, ...] = (
    {},
    {},
    {"match": {"channels": ["app"]}},
    {"match": {"payment_methods": ["card"]}},
    {"days": {"weekdays": ["tuesday", "wednesday"]}},
    {"days": {"days_of_month": [10, 12, 13]}},
    {"during": {"from": "2026-03-10T12:00:00Z", "until": "2026-03-12T08:00:00Z"}},
)
FACTORS = ("1", "1.2", "1.5", "2", "4/3", "7/6", "1.000000001")
PERIODS: tuple[Document, ...] = (
    {"per": "order"},
    {"per": "day"},
    {"per": "week"},
    {"per": "month"},
    {"per": "ever"},
    {"per": "campaign", "during": {"from": "2026-03-10T12:00:00Z", "until": "2026-03-12T08:00:00Z"}},
)
EXPIRIES: tuple[Any, ...] = ("never", {"days": 1}, {"days": 3}, {"end_of_year": 0})
GAPS_H = (0, 0, 0, 1, 20, 30, 80)
"""Hours between two events."""


def program(random: Random) -> Document:
    """A program of up to four rules of every kind, with limits, and multipliers for some of them."""
    rules = [_rule(random, f"rule-{number}") for number in range(random.randint(1, 4))]
    multipliers = [_multiplier(random, f"by-{number}", rules) for number in range(random.choice((0, 0, 1, 2)))]
    return ({"multipliers": multipliers} if multipliers else {}) | {
        "program": "random",
        "version": 1,
        "effective_from": "2026-01-01T00:00:00Z",
        "zone": random.choice(("UTC", "Asia/Shanghai", "America/New_York")),
        "currency": "CNY",
        "tiers": [{"id": "gold"}],
        "base": {"tax": random.random() < 0.3, "paid_in_points": random.random() < 0.3},
        "refunds": {"shortfall": random.choice(("debt", "debt", "clip", "cash_offset"))},
        "wallets": {
            "points": {"spendable": True, "expiry": random.choice(EXPIRIES)},
            "miles": {"spendable": True, "expiry": "never"},
            "growth": {"spendable": False, "expiry": random.choice(("never", "never", {"days": 2}))},
        },
        "rules": rules,
        "stacking": random.choice(("additive", "multiplicative")),
    }


def capped(random: Random, document: Document) -> Document:
    """The program, with up to two caps that are small enough to be reached."""
    caps = [_cap(random, f"cap-{number}", document) for number in range(random.choice((0, 1, 2)))]
    return document | {"caps": caps} if caps else document


def _cap(random: Random, name: str, document: Document) -> Document:
    rules = [rule["id"] for rule in document["rules"]]
    of: Document = {"rules": random.sample(rules, random.randint(1, len(rules)))}
    if random.random() < 0.4:
        of = {"wallet": random.choice(document["rules"])["wallet"]}
    excess = random.choice(("trim", "trim", "skip"))
    return {"id": name, "points": random.choice((1, 10, 50, 200)), "excess": excess} | of | random.choice(PERIODS)


def _multiplier(random: Random, name: str, rules: list[Document]) -> Document:
    by: Document = {"id": name, "factor": random.choice(FACTORS)} | random.choice(WHEN)
    if random.random() < 0.1:
        by = {"id": name, "by_tier": {"gold": "3"}}
    if random.random() < 0.4 or not any("rate" in rule or "step" in rule for rule in rules):
        names = [rule["id"] for rule in rules]
        by["rules"] = random.sample(names, random.randint(1, len(names)))
    return by


def _rule(random: Random, name: str) -> Document:
    kinds: tuple[Document, ...] = (
        {"rate": random.choice(("1", "1.2", "1/3", "10", "999/1000"))},
        {"rate": random.choice(("1", "2/7", "0.05"))},
        {"step": {"every": random.choice(("1", "20", "59.9")), "points": random.choice((1, 7))}},
        {
            "threshold": {
                "from": random.choice(("20", "60", "200")),
                "points": random.choice((7, 50)),
                "on_refund": random.choice(("recompute", "prorata", "keep")),
            }
        },
        {"per_item": random.choice((1, 5))},
    )
    rule: Document = {"id": name, "wallet": random.choice(("points", "points", "miles", "growth"))}
    rule |= random.choice(kinds) | {"match": random.choice(MATCHES)} | random.choice(LIMITS)
    if random.random() < 0.3:
        rule["pending"] = {"days": random.choice((0, 1, 3)), "exact": random.random() < 0.5}
    return rule


def stream(random: Random, document: Document) -> History:
    """Up to a dozen events of up to three orders' lives, and the sweeps between them."""
    orders = [an_order(random, f"o{number}") for number in range(random.choice((1, 1, 2, 2, 3)))]
    events = [("order", order) for order in orders]
    events += [("refund", random.choice(orders)) for _ in range(random.randint(1, 5))]
    events += [("adjust", orders[0]) for _ in range(random.randint(0, 2))]
    events += random.choices(events, k=random.randint(0, 1))
    if random.random() < 0.5:
        random.shuffle(events)
    now, steps = START, list[Step]()
    for number, (kind, order) in enumerate(events):
        now += timedelta(hours=random.choice(GAPS_H))
        steps.append(_event(random, kind, order, number, now))
        if random.random() < 0.2:
            steps.append(Sweep(now - timedelta(hours=1), "m1"))
    return History([document], [], steps, now + timedelta(days=random.choice((0, 2, 400))))


def _event(random: Random, kind: str, order: dict[str, Any], number: int, now: datetime) -> Event:
    at = {"occurred_at": (now - timedelta(hours=random.choice((0, 0, 0, 2)))).isoformat()}
    if kind == "order":
        return Arrival(now, order | at)
    if kind == "refund":
        return RefundArrival(now, a_refund(random, order, number) | at)
    data = {"adjustment_id": f"a{number}", "member_id": "m1", "wallet": random.choice(("points", "points", "growth"))}
    points = random.choice((-1, -5, -10, -50, -100, 3, 40))
    return AdjustmentArrival(now, data | {"points": points, "actor": "ann", "reason": "why not"} | at)


def an_order(random: Random, order_id: str) -> dict[str, Any]:
    """The data of an order of `m1`, without its instant."""
    lines = [
        line(
            f"l{number}",
            random.choice(GOODS),
            random.choice((0, 1, 1, 2, 3)),
            random.choice((*PRICES, random.randrange(30_000))),
            random.choice(SETTLEMENTS),
        )
        for number in range(random.randint(1, 4))
    ]
    return {
        "order_id": order_id,
        "member_id": "m1",
        "currency": "CNY",
        "paid": sum(each["paid"] for each in lines),
        "shipping": 0,
        "channel": random.choice((None, "app")),
        "store": random.choice((None, "north")),
        "payment_method": random.choice((None, "card", "cash")),
        "lines": lines,
    }


def a_refund(random: Random, order: dict[str, Any], number: int) -> dict[str, Any]:
    """The data of a refund of an order, of some kind, without its instant."""
    refund = {
        "refund_id": random.choice((f"r{number}", f"r{number}", f"r{number}", "r1")),
        "order_id": order["order_id"],
        "member_id": "m1",
        "currency": random.choice(("CNY",) * 12 + ("EUR",)),
    }
    what = random.random()
    if what < 0.15:
        return refund | {"full": True}
    if what < 0.4:
        return refund | {"amount": _some_of(random, order["paid"])}
    chosen = random.choices(order["lines"], k=random.randint(1, 2))
    refund["lines"] = [
        {"line_id": each["line_id"]}
        | ({"amount": _some_of(random, each["paid"])} if random.random() < 0.6 else {"quantity": random.randint(1, 2)})
        for each in chosen
    ]
    if random.random() < 0.03:
        refund["lines"].append({"line_id": "l9", "quantity": 1})
    return refund


def _some_of(random: Random, paid: int) -> int:
    return max(1, random.choice((1, paid // 7, paid // 5, paid // 3, paid // 2, paid - 1, paid, paid, paid + 1)))
