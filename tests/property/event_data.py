"""Random orders, refunds and adjustments, still without the instant at which they happened."""

from typing import Any

from hypothesis import strategies as st

from tests.property.naive_account import Refund
from tests.property.naive_model import BALANCE_LIMIT
from tests.property.naive_rating import Document, Order

ROUND_PRICES = (100, 1, 2_000, 5_990, 20_000)
"""Minor units. Steps and thresholds are of these too, so that orders come to them exactly."""
GOODS = st.sampled_from(
    [
        ("apple", "fresh", None),
        ("apple", "fresh", "house"),
        ("salt", "dry", "house"),
        ("rice", "dry", None),
        ("bag", None, None),
    ]
)
PRICES = st.sampled_from([0, 1, 99, 100, 2_005, 5_990, 11_995]) | st.integers(0, 30_000)
QUANTITIES = st.sampled_from([1, 2, 3, 0])
SETTLEMENTS = st.sampled_from([(0, 0, 0), (10, 0, 0), (0, 19, 0), (5, 7, 30), (0, 8, 100), (100, 0, 0)])
"""Percent of discount, of tax, and of what is due that points pay for."""
PARTS = st.tuples(GOODS, QUANTITIES, PRICES, SETTLEMENTS)
ROUND_PARTS = st.tuples(GOODS, QUANTITIES, st.sampled_from(ROUND_PRICES), st.just((0, 0, 0)))
BASKETS = st.lists(PARTS, min_size=1, max_size=4) | st.lists(ROUND_PARTS, min_size=1, max_size=2)
PLACES = st.tuples(
    st.sampled_from([("app", None), ("web", "north"), (None, "south"), ("app", "north")]), st.sampled_from([0, 499])
)
GIVEN_BACK = st.sampled_from(
    [
        *[("lines",)] * 5,
        *[("amount",)] * 3,
        ("full",),
        ("shipping",),
        ("lines", "amount", "shipping"),
        ("full", "lines"),
        ("full", "amount"),
    ]
)
"""Which of its parts a refund has."""


def line(
    line_id: str,
    goods: tuple[str, str | None, str | None],
    quantity: int,
    list_price: int,
    settlement: tuple[int, ...],
) -> Any:
    """A line of `goods` (SKU, category, brand), `settlement` saying how it is paid: discount, tax and points."""
    discount = list_price * settlement[0] // 100
    tax = list_price * settlement[1] // 100
    due = list_price - discount + tax
    in_points = due * settlement[2] // 100
    return {
        "line_id": line_id,
        "sku": goods[0],
        "category": goods[1],
        "brand": goods[2],
        "quantity": quantity,
        "list_price": list_price,
        "discount": discount,
        "tax": tax,
        "paid": due - in_points,
        "paid_in_points": in_points,
    }


@st.composite
def orders(draw: st.DrawFn, currency: str) -> Order:
    """An order, still without the instant of its payment."""
    bought = [line(f"l{number}", *part) for number, part in enumerate(draw(BASKETS))]
    where, shipping = draw(PLACES)
    return {
        "order_id": f"o{draw(st.integers(0, 7))}",
        "member_id": draw(st.sampled_from(["m1", "m1", "m2"])),
        "currency": draw(st.sampled_from([currency] * 9 + ["EUR"])),
        "paid": sum(each["paid"] for each in bought) + shipping,
        "shipping": shipping,
        "channel": where[0],
        "store": where[1],
        "lines": bought,
    }


def some_of(paid: int) -> st.SearchStrategy[int]:
    """A part of an amount, all of it, or seldom a little more; at least 1."""
    found = [1, paid // 7, paid // 5, paid // 3, paid // 2, paid - 1, paid, paid, paid + 1]
    return st.sampled_from([max(1, part) for part in found])


def parts(line: Document) -> st.SearchStrategy[dict[str, Any]]:
    """Some pieces of a line, or some of what was paid for it."""
    pieces = some_of(line["quantity"]).map(lambda quantity: {"quantity": quantity})
    money = some_of(line["paid"]).map(lambda amount: {"amount": amount})
    ways = [pieces, money] if line["paid"] else [pieces, pieces, pieces, pieces, money]
    return st.sampled_from(ways).flatmap(lambda way: way).map(lambda part: {"line_id": line["line_id"]} | part)


@st.composite
def refunds(draw: st.DrawFn, order: Order, number: int) -> Refund:
    """Any part of an order, or more; now and then one that is not of this order, or that was already."""
    refund: Refund = {
        "refund_id": draw(st.sampled_from([f"r{number}"] * 3 + ["r0"])),
        "order_id": draw(st.sampled_from([order["order_id"]] * 15 + ["o9"])),
        "member_id": draw(st.sampled_from([order["member_id"]] * 15 + ["m1", "m2"])),
        "currency": draw(st.sampled_from([order["currency"]] * 15 + ["EUR"])),
        "reason": "return",
    }
    given = draw(GIVEN_BACK)
    if "full" in given:
        refund["full"] = True
    if "lines" in given:
        one_part = st.sampled_from(order["lines"]).flatmap(parts)
        refund["lines"] = draw(st.lists(one_part, min_size=1, max_size=2))
        if draw(st.sampled_from([False] * 15 + [True])):
            refund["lines"].append({"line_id": "l9", "quantity": 1})
    if "amount" in given:
        refund["amount"] = draw(some_of(sum(line["paid"] for line in order["lines"])))
    if "shipping" in given:
        refund["shipping"] = draw(some_of(order["shipping"]))
    return refund


@st.composite
def adjustments(draw: st.DrawFn, there: dict[tuple[str, str], int], number: int) -> dict[str, Any]:
    """Points given, or taken: most often some of those that are there (member, wallet), sometimes one too many."""
    pairs = [*there, ("m1", "stars"), *([pair for pair, points in there.items() if points] * 9)]
    member_id, wallet = pair = draw(st.sampled_from(pairs))
    up = st.sampled_from([1, 7, 50, 200, 5_000] * 3 + [BALANCE_LIMIT])
    down = some_of(there.get(pair, 0)).map(lambda points: -min(points, BALANCE_LIMIT))
    return {
        "adjustment_id": f"a{number}",
        "member_id": member_id,
        "wallet": wallet,
        "points": draw(draw(st.sampled_from([up, down, down, down] if there.get(pair) else [up] * 5 + [down]))),
        "actor": "somebody",
        "reason": "goodwill",
    }
