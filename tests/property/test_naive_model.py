"""What holds for the naive model by itself, at random."""

from itertools import pairwise

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.property.event_data import orders, refunds
from tests.property.histories import ACROSS, ON_REFUND, History, histories, play
from tests.property.naive_account import Rated
from tests.property.naive_rating import Document, rated
from tests.property.naive_refunds import claws, fractions

SETTINGS = settings(max_examples=60, deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])


@SETTINGS
@given(st.data())
def test_how_refunds_are_split_and_ordered_says_nothing_and_they_never_go_back(data: st.DataObject) -> None:
    bought = data.draw(orders("CNY")) | {"currency": "CNY", "occurred_at": "2026-03-02T12:00:00+00:00"}
    threshold = {"from": 100, "points": 50, "on_refund": data.draw(ON_REFUND)}
    rules: list[Document] = [
        {"id": "base", "wallet": "points", "rate": 1},
        {"id": "bonus", "wallet": "points", "threshold": threshold},
    ]
    order_as_rated = Rated(bought, {}, [(rule, *rated(rule, bought, {})) for rule in rules])
    given_back = data.draw(st.lists(refunds(bought, 1), max_size=6))
    known = {each["line_id"] for each in bought["lines"]}
    given_back = [each for each in given_back if {part["line_id"] for part in each.get("lines", [])} <= known]
    so_far = [claws(order_as_rated, given_back[:number]) for number in range(len(given_back) + 1)]
    assert all(before[rule] <= after[rule] for before, after in pairwise(so_far) for rule in after)
    assert claws(order_as_rated, given_back[::-1]) == so_far[-1]
    in_full = claws(order_as_rated, [*given_back, {"full": True}])
    assert in_full == {rule["id"]: sum(parts.values()) for rule, parts, _ in order_as_rated.grants}
    assert all(0 <= part <= 1 for part in fractions(bought, given_back).values())


@SETTINGS
@given(histories())
def test_the_model_keeps_its_books(history: History) -> None:
    model = history.model()
    for step in history.steps:
        play(model, step)
        for member in model.members.values():
            for wallet, buckets in member.balances.items():
                assert sum(buckets.values()) == 0
                assert all(buckets.get(bucket, 0) >= 0 for bucket in ("pending", "available", "expired", "clawed_back"))
                assert member.without_lot(wallet, []) == 0 or not ACROSS[wallet]
                assert member.without_lot(wallet, []) >= 0
                assert sum(debt[2] for debt in member.debts if debt[0] == wallet) == -buckets.get("debt", 0)
            assert all(row["amount"] > 0 for posting in member.postings for row in posting["movements"])
