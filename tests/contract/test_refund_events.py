"""The data of refunds: what is taken, and that a refusal names what is wrong."""

from datetime import UTC, datetime
from typing import Any

import pytest
from contract_messages import binary, structured

from shared.contracts.defect import Defect, Undecodable
from shared.contracts.refund import CONTRACT, TYPE
from shared.domain.facts import GivenBack, Refund, RefundReason
from shared.domain.ids import LineId, MemberId, OrderId, RefundId
from shared.domain.time import instant_of

REFUND: dict[str, Any] = {
    "refund_id": "r-1",
    "order_id": "o-1",
    "member_id": "m-1",
    "currency": "USD",
    "occurred_at": "2026-03-01T13:30:00-05:00",
}


def refund_of(**given: object) -> Refund:
    """What a refund that gives this back is read as, in either mode."""
    read = [CONTRACT.decode(*mode({**REFUND, **given}, type=TYPE)).fact for mode in (binary, structured)]
    assert read[0] == read[1]
    assert isinstance(read[0], Refund)
    return read[0]


def refusal_of(**given: object) -> tuple[Defect, str]:
    """For what, and where, such a refund is refused."""
    with pytest.raises(Undecodable) as refused:
        CONTRACT.decode(*binary({**REFUND, **given}, type=TYPE))
    return refused.value.defect, refused.value.path


def test_all_that_a_refund_says_is_read() -> None:
    lines = [{"line_id": "1", "quantity": 2}, {"line_id": "2", "amount": 350}]
    at = instant_of(datetime(2026, 3, 1, 18, 30, tzinfo=UTC))
    assert refund_of(lines=lines, amount=40, shipping=500, reason="chargeback") == Refund(
        RefundId("r-1"),
        OrderId("o-1"),
        MemberId("m-1"),
        "USD",
        RefundReason.CHARGEBACK,
        False,
        (GivenBack(LineId("1"), 2, 0), GivenBack(LineId("2"), 0, 350)),
        40,
        500,
        at,
    )


@pytest.mark.parametrize(
    "given", [{"full": True}, {"amount": 1}, {"shipping": 1}, {"lines": [{"line_id": "1", "quantity": 1}]}]
)
def test_a_refund_may_give_back_one_thing_alone(given: dict[str, Any]) -> None:
    assert refund_of(**given).refund_id == "r-1"


@pytest.mark.parametrize("given", [{}, {"full": False}, {"amount": 0, "shipping": 0}, {"lines": []}])
def test_a_refund_gives_something_back(given: dict[str, Any]) -> None:
    assert refusal_of(**given) == (Defect.INVALID_FIELD, "data")


@pytest.mark.parametrize("said", [{}, {"quantity": 1, "amount": 100}, {"quantity": 1, "amount": 0}])
def test_a_line_goes_back_by_pieces_or_by_money_and_not_by_both(said: dict[str, Any]) -> None:
    lines = [{"line_id": "1", "quantity": 1}, {"line_id": "2", **said}]
    assert refusal_of(lines=lines) == (Defect.INVALID_FIELD, "data.lines[1]")


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ({"amount": -1}, "data.amount"),
        ({"amount": 10**12 + 1}, "data.amount"),
        ({"shipping": -1}, "data.shipping"),
        ({"lines": [{"line_id": "1", "quantity": 0}]}, "data.lines[0].quantity"),
        ({"lines": [{"line_id": "1", "quantity": 10**9 + 1}]}, "data.lines[0].quantity"),
        ({"lines": [{"line_id": "1", "amount": -1}]}, "data.lines[0].amount"),
        ({"lines": [{"line_id": "1", "amount": 10**12 + 1}]}, "data.lines[0].amount"),
        ({"full": True, "currency": "DEM"}, "data.currency"),
        ({"full": True, "reason": "regret"}, "data.reason"),
        ({"full": True, "refund_id": "r" * 129}, "data.refund_id"),
        ({"full": True, "occurred_at": "2026-03-01T13:30:00"}, "data.occurred_at"),
    ],
)
def test_a_wrong_field_of_a_refund_is_named(given: dict[str, Any], path: str) -> None:
    assert refusal_of(**given) == (Defect.INVALID_FIELD, path)


def test_the_most_that_a_refund_may_say_is_taken() -> None:
    lines = [{"line_id": "1", "quantity": 10**9}, {"line_id": "2", "amount": 10**12}]
    assert refund_of(lines=lines, amount=10**12, refund_id="r" * 128).amount == 10**12
