"""Refunds and adjustments in the naive model itself, by numbers that were worked out by hand."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.property.naive_model import NaiveModel
from tests.property.naive_refunds import over_refunded

NOON = datetime.fromisoformat("2026-03-02T12:00:00+00:00")
BASE = {"id": "base", "wallet": "points", "rate": 1}


class Shop:
    """A model with one version of a program, in which something happens every minute, for one member."""

    def __init__(self, *rules: Any, shortfall: str = "debt", points: Any = "never", growth: Any = "never") -> None:
        self.document = {
            "program": "shop",
            "version": 1,
            "effective_from": "2026-01-01T00:00:00+00:00",
            "zone": "UTC",
            "currency": "CNY",
            "refunds": {"shortfall": shortfall},
            "wallets": {
                "points": {"spendable": True, "expiry": points},
                "growth": {"spendable": False, "expiry": growth},
            },
            "rules": list(rules or [BASE]),
        }
        self.model = NaiveModel([self.document])
        self.member = self.model.member("m1")
        self.now = NOON
        self.number = 0

    def facts(self) -> dict[str, Any]:
        self.now += timedelta(minutes=1)
        self.number += 1
        return {"member_id": "m1", "occurred_at": self.now.isoformat(), "currency": "CNY"}

    def pay(self, order: dict[str, Any]) -> str:
        return self.model.order_paid(self.facts() | order, self.now)

    def refund(self, **data: Any) -> str:
        return self.model.refund(self.facts() | {"refund_id": f"r{self.number}", "order_id": "o1"} | data, self.now)

    def adjust(self, points: int, wallet: str = "points") -> str:
        return self.model.adjust(self.facts() | {"points": points, "wallet": wallet}, self.now)

    def wait(self, days: int) -> None:
        self.now += timedelta(days=days)

    def clawed(self, **data: Any) -> int:
        """How many points one more refund takes back."""
        before = self.balances().get("clawed_back", 0)
        self.refund(**data)
        return self.balances().get("clawed_back", 0) - before

    def balances(self, wallet: str = "points") -> dict[str, int]:
        return {bucket: points for bucket, points in self.member.balances.get(wallet, {}).items() if points}

    def last(self) -> list[tuple[Any, ...]]:
        """The movements of the last posting, without wallet and order."""
        rows = self.member.postings[-1]["movements"]
        return [(row["from"], row["to"], row["amount"], row["rule"], row["lot"]) for row in rows]


def order(*paid: int, order_id: str = "o1", quantities: tuple[int, ...] = ()) -> dict[str, Any]:
    """An order of lines l1, l2 … that were paid so, each of ten pieces if nothing else is said."""
    line = {"sku": "tea", "discount": 0, "tax": 0, "paid_in_points": 0}
    lines = [
        line | {"line_id": f"l{number}", "list_price": amount, "paid": amount, "quantity": quantity}
        for number, (amount, quantity) in enumerate(zip(paid, quantities or [10] * len(paid), strict=True), start=1)
    ]
    return {"order_id": order_id, "paid": sum(paid), "shipping": 0, "lines": lines}


def line(number: int, **given_back: int) -> dict[str, Any]:
    return {"lines": [{"line_id": f"l{number}"} | given_back]}


def test_g7_a_line_whole_part_of_one_and_the_rest_of_it() -> None:
    shop = Shop(BASE | {"rate": "1.2"})
    shop.pay(order(5_990, 11_995, 2_005))
    assert shop.member.orders["o1"] == {"l1": {"base": 71}, "l2": {"base": 144}, "l3": {"base": 24}}
    assert shop.clawed(**line(3, quantity=10)) == 24
    assert shop.clawed(**line(2, amount=4_000)) == 48
    assert shop.clawed(**line(2, amount=7_995)) == 96
    assert shop.balances() == {"issued": -239, "available": 71, "clawed_back": 168}


def test_g8_a_line_in_five_refunds() -> None:
    shop = Shop(BASE | {"rate": "1.2"})
    shop.pay(order(5_990, 11_995, 2_005))
    assert [shop.clawed(**line(2, amount=2_399)) for _ in range(5)] == [28, 29, 29, 29, 29]


@pytest.mark.parametrize(
    ("policy", "clawed"),
    [("recompute", [50, 0, 0, 0]), ("prorata", [5, 20, 0, 25]), ("keep", [0, 0, 50, 0]), (None, [50, 0, 0, 0])],
)
def test_g9_a_threshold_bonus(policy: str | None, clawed: list[int]) -> None:
    threshold = {"from": 200, "points": 50} | ({"on_refund": policy} if policy else {})
    shop = Shop({"id": "bonus", "wallet": "points", "threshold": threshold})
    shop.pay(order(20_000))
    # 180.00 remain, then half, then a cent less than half, then nothing
    assert [shop.clawed(amount=amount) for amount in (2_000, 8_000, 1, 9_999)] == clawed


def test_a_threshold_bonus_stays_while_what_remains_reaches_it() -> None:
    shop = Shop({"id": "bonus", "wallet": "points", "threshold": {"from": 200, "points": 50}})
    shop.pay(order(25_000))
    assert shop.clawed(amount=5_000) == 0
    assert shop.clawed(amount=1) == 50


def test_a_threshold_bonus_looks_only_at_the_lines_that_its_rule_counts() -> None:
    match = {"match": {"skus": ["tea"]}}
    shop = Shop({"id": "bonus", "wallet": "points", "threshold": {"from": 200, "points": 50}} | match)
    bought = order(20_000, 5_000)
    bought["lines"][1]["sku"] = "rice"
    shop.pay(bought)
    assert shop.clawed(**line(2, quantity=10)) == 0
    assert shop.clawed(**line(1, amount=1)) == 50


def g10(shortfall: str) -> Shop:
    """The order's lot has 239 points of which 200 are spent; another lot has 100; the order is refunded."""
    shop = Shop(BASE | {"rate": "1.2"}, shortfall=shortfall)
    shop.pay(order(19_917))
    shop.adjust(-200)
    shop.adjust(100)
    assert shop.refund(full=True) == "posted"
    return shop


def test_g10_with_a_debt() -> None:
    shop = g10("debt")
    assert shop.last() == [
        ("available", "clawed_back", 39, "base", 1),
        ("available", "clawed_back", 100, "base", 2),
        ("debt", "clawed_back", 100, "base", None),
    ]
    assert {row["order"] for row in shop.member.postings[-1]["movements"]} == {"o1"}
    assert shop.balances() == {"issued": -339, "adjusted": 200, "clawed_back": 239, "debt": -100}
    assert shop.member.debts == [["points", "o1", 100]]
    shop.pay(order(12_500, order_id="o2"))
    assert shop.last() == [("issued", "available", 150, "base", 3), ("available", "debt", 100, None, 3)]
    assert shop.member.debts == []
    assert [(lot.number, lot.remaining) for lot in shop.member.open_lots()] == [(3, 50)]


def test_g10_clipped() -> None:
    shop = g10("clip")
    assert shop.balances() == {"issued": -339, "adjusted": 200, "clawed_back": 239, "written_off": -100}
    shop.pay(order(12_500, order_id="o2"))
    assert shop.balances()["available"] == 150


def test_g10_kept_from_the_refund() -> None:
    shop = g10("cash_offset")
    assert shop.balances() == {"issued": -339, "adjusted": 200, "clawed_back": 239, "cash_offset": -100}
    assert shop.member.debts == []


def test_what_is_given_back_for_the_order_counts_exactly_towards_what_lines_leave() -> None:
    shop = Shop()
    shop.pay(order(600, 600, 200))
    assert shop.clawed(amount=1_000) == 4 + 4 + 1  # of 6, 6 and 2: 4 2/7, 4 2/7, 1 3/7
    assert shop.clawed(amount=100) == 0  # 4 5/7, 4 5/7, 1 4/7
    assert shop.clawed(amount=300) == 5

    shop = Shop()
    shop.pay(order(600, 600, 200))
    assert shop.clawed(**line(1, amount=300)) == 3
    assert shop.clawed(amount=500) == 1 + 2 + 0  # 3 + 5 × 3/11, 5 × 6/11, 5 × 2/11
    assert shop.clawed(**line(2, quantity=5)) == 0 + 2 + 1  # of what is left, 8, again 5: 4 7/8, 3 + 15/8, 1 1/4
    assert shop.clawed(shipping=1_000) == 0
    assert shop.clawed(full=True) == 5
    assert shop.balances() == {"issued": -14, "clawed_back": 14}


def test_a_line_that_cost_nothing_goes_back_by_its_pieces_or_with_all_the_rest() -> None:
    per_item = {"id": "tea", "wallet": "points", "per_item": 5}
    shop = Shop(per_item)
    shop.pay(order(0, 1_000, quantities=(3, 1)))
    assert shop.clawed(**line(1, quantity=1)) == 5
    assert shop.clawed(**line(1, quantity=1)) == 5
    assert shop.clawed(amount=1_000) == 10

    shop = Shop(per_item)
    shop.pay(order(0, quantities=(2,)))
    assert shop.clawed(**line(1, amount=5)) == 0
    assert shop.clawed(amount=5) == 0
    assert shop.clawed(**line(1, quantity=3)) == 10


@pytest.mark.parametrize(
    ("given_back", "is_over"),
    [
        ([{"amount": 1_000}], False),
        ([{"amount": 1_001}], True),
        ([{"amount": 500}, line(2, amount=500)], False),
        ([line(2, amount=500), {"amount": 501}], True),
        ([line(1, amount=401), {"amount": 1}], True),  # does not spill to the other lines
        ([line(1, quantity=5), line(1, amount=200)], False),
        ([line(1, quantity=5), line(1, amount=201)], True),
        ([line(2, quantity=11)], True),
        ([line(3, quantity=10)], False),  # costs nothing
        ([line(3, quantity=11)], True),
        ([line(3, amount=1)], True),
        ([line(4, quantity=1)], False),  # has no pieces, and counts as one
        ([line(4, quantity=2)], True),
        ([{"full": True}, {"full": True}, {"amount": 1_000}], False),
        ([{"shipping": 5_000}], False),
    ],
)
def test_more_than_was_paid(given_back: list[dict[str, Any]], is_over: bool) -> None:
    bought = order(400, 600, 0, 0, quantities=(10, 10, 10, 0))
    assert over_refunded(bought, given_back) == is_over


def test_more_than_was_paid_counts_as_all_of_it() -> None:
    shop = Shop()
    shop.pay(order(400, 600))
    assert shop.refund(**line(1, amount=500)) == "over_refunded"
    assert shop.balances()["clawed_back"] == 4
    assert shop.refund(**line(1, amount=500)) == "over_refunded_nothing_taken"
    assert shop.refund(amount=700) == "over_refunded"
    assert shop.balances() == {"issued": -10, "clawed_back": 10}


def test_outcomes_of_refunds_in_their_precedence() -> None:
    shop = Shop()
    long_ago = {"occurred_at": "2025-12-31T23:59:59+00:00"}
    assert shop.refund(refund_id="a", **long_ago) == "no_program_in_force"
    early = {"occurred_at": (NOON + timedelta(days=1)).isoformat()}
    assert shop.refund(refund_id="a", **early) == "too_early"
    assert shop.refund(refund_id="a", currency="EUR") == "waiting_for_order"
    assert shop.refund(refund_id="a", **early) == "too_early"
    assert shop.refund(refund_id="a") == "refund_already_counted"
    assert shop.refund(refund_id="a", order_id="o2") == "waiting_for_order"
    assert shop.pay(order(1_000)) == "posted"
    assert shop.balances() == {"issued": -10, "available": 10}  # what waited was of another currency
    assert shop.refund(refund_id="a") == "refund_already_counted"
    assert shop.refund(refund_id="b", **line(2, quantity=1)) == "refund_does_not_fit"
    assert shop.refund(refund_id="b", full=True) == "refund_already_counted"
    assert shop.refund(refund_id="c", full=True, currency="EUR") == "refund_does_not_fit"
    assert shop.refund(refund_id="d", shipping=5) == "nothing_to_take_back"
    assert shop.refund(refund_id="e", amount=1) == "nothing_to_take_back"
    shop.wait(days=400)
    assert shop.refund(refund_id="f", occurred_at=NOON.isoformat(), full=True) == "posted"  # never too late
    assert shop.refund(refund_id="g", full=True) == "nothing_to_take_back"


def test_a_reversal_says_what_it_is_of() -> None:
    shop = Shop()
    shop.pay(order(1_000))
    shop.refund(amount=100)
    posting = shop.member.postings[-1]
    assert (posting["kind"], posting["order"], posting["program_version"]) == ("reversal", "o1", 1)
    assert posting["occurred_at"] == posting["effective_at"] == shop.now


def test_refunds_that_wait_apply_together_in_the_posting_of_their_order() -> None:
    shop = Shop()
    assert shop.refund(**line(1, amount=333)) == "waiting_for_order"
    assert shop.refund(**line(1, amount=333)) == "waiting_for_order"
    assert shop.refund(**line(3, quantity=1)) == "waiting_for_order"
    assert shop.pay(order(500, 500)) == "posted"
    assert len(shop.member.postings) == 1
    assert shop.last() == [("issued", "available", 10, "base", 1), ("available", "clawed_back", 5, "base", 1)]
    assert shop.refund(amount=1) == "over_refunded_nothing_taken"  # 666 of the first line's 500


def test_a_debt_is_repaid_before_what_waits_is_taken() -> None:
    shop = Shop()
    shop.pay(order(1_000))
    shop.adjust(-10)
    shop.refund(full=True)
    shop.refund(order_id="o2", full=True)
    shop.pay(order(1_500, order_id="o2"))
    assert shop.last() == [
        ("issued", "available", 15, "base", 2),
        ("available", "debt", 10, None, 2),
        ("available", "clawed_back", 5, "base", 2),
        ("debt", "clawed_back", 10, "base", None),
    ]
    assert shop.member.debts == [["points", "o2", 10]]


def test_pending_points_go_first_then_own_ones_then_others_in_burn_order() -> None:
    later = {"id": "later", "wallet": "points", "rate": 1, "pending": {"days": 5}}
    shop = Shop(BASE, later, points={"days": 30})
    shop.adjust(3)
    shop.pay(order(1_000))
    shop.adjust(4)
    shop.adjust(-1)  # of the lot that is the oldest of those that end together
    shop.refund(amount=900)
    assert shop.last() == [
        ("pending", "clawed_back", 9, "base", 3),
        ("pending", "clawed_back", 1, "later", 3),
        ("available", "clawed_back", 8, "later", 2),
    ]
    shop.adjust(-4)  # 2 of the first lot and 2 of the order's
    shop.refund(full=True)
    assert shop.last() == [
        ("available", "clawed_back", 1, "base", 4),
        ("available", "clawed_back", 1, "later", 4),
    ]


def test_points_that_expired_unspent_count_as_taken() -> None:
    shop = Shop(points={"days": 30})
    shop.pay(order(1_000))
    shop.adjust(-3)
    shop.wait(days=40)
    shop.adjust(5)
    shop.refund(amount=400)
    assert shop.last() == [("expired", "clawed_back", 4, "base", 1)]
    shop.refund(full=True)
    assert shop.last() == [("expired", "clawed_back", 3, "base", 1), ("available", "clawed_back", 3, "base", 2)]
    assert shop.balances() == {"issued": -15, "adjusted": 3, "clawed_back": 10, "available": 2}


def test_a_counter_gives_back_from_its_balance() -> None:
    growth = {"id": "growth", "wallet": "growth", "rate": 1}
    shop = Shop(growth | {"pending": {"days": 5}}, growth | {"id": "at-once"})
    shop.pay(order(1_000))
    shop.adjust(-2, "growth")
    shop.refund(amount=500)
    assert shop.last() == [("pending", "clawed_back", 5, "growth", 1), ("pending", "clawed_back", 5, "at-once", 1)]
    shop.refund(full=True)
    assert shop.last() == [
        ("available", "clawed_back", 5, "growth", None),
        ("available", "clawed_back", 3, "at-once", None),
        ("debt", "clawed_back", 2, "at-once", None),
    ]
    assert shop.balances("growth") == {"issued": -20, "adjusted": 2, "clawed_back": 20, "debt": -2}


def test_a_counter_takes_what_will_end_before_what_stays() -> None:
    shop = Shop({"id": "growth", "wallet": "growth", "rate": 1}, growth={"days": 30})
    shop.pay(order(1_000))
    shop.adjust(-10, "growth")
    shop.adjust(5, "growth")
    shop.refund(full=True)
    assert shop.last() == [("available", "clawed_back", 5, "growth", 2), ("debt", "clawed_back", 5, "growth", None)]
    assert shop.member.open_lots() == []


def test_the_policy_is_that_of_the_version_that_rated_the_order() -> None:
    shop = Shop(shortfall="clip")
    again = shop.document | {"version": 2, "effective_from": "2026-03-10T00:00:00+00:00", "refunds": {}, "rules": []}
    shop.model = NaiveModel([shop.document, again])
    shop.member = shop.model.member("m1")
    shop.pay(order(1_000))
    shop.adjust(-10)
    shop.wait(days=20)
    assert shop.refund(full=True) == "posted"
    assert shop.balances() == {"issued": -10, "adjusted": 10, "written_off": -10, "clawed_back": 10}
    assert shop.member.postings[-1]["program_version"] == 1


def test_adjustments() -> None:
    shop = Shop(points={"days": 30})
    assert shop.adjust(5, "stars") == "wallet_unknown"
    assert shop.adjust(-1) == "balance_too_low"
    assert shop.adjust(10**18 + 1) == "balance_limit_reached"
    assert shop.adjust(7) == "posted"
    (lot,) = shop.member.open_lots()
    assert (lot.order_id, lot.remaining, lot.activates_at) == (None, 7, None)
    assert lot.expires_at == datetime.fromisoformat("2026-04-02T00:00:00+00:00")
    assert shop.adjust(-8) == "balance_too_low"
    assert shop.adjust(-7) == "posted"
    assert shop.last() == [("available", "adjusted", 7, None, 1)]
    assert shop.adjust(3, "growth") == "posted"
    assert shop.last() == [("issued", "available", 3, None, None)]
    posting = shop.member.postings[-1]
    assert (posting["kind"], posting["order"], posting["program_version"]) == ("adjustment", None, 1)
