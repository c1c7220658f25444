"""The data of adjustments and appeals: what is taken, and that a refusal names what is wrong."""

from typing import Any

import pytest
from contract_messages import binary

from shared.contracts.adjustment import CONTRACT
from shared.contracts.defect import Defect, Undecodable
from shared.domain.facts import Adjustment, Appeal, Fact

ADJUSTMENT: dict[str, Any] = {
    "adjustment_id": "a-1",
    "member_id": "m-1",
    "actor": "ann",
    "reason": "a parcel that came late",
    "occurred_at": "2026-03-01T13:30:00-05:00",
}
REVERSES = {"source": "/shop", "id": "e-9"}


def fact_of(**said: object) -> Fact:
    """What an adjustment that says this is read as."""
    return CONTRACT.decode(*binary({**ADJUSTMENT, **said}, type=CONTRACT.type)).fact


def refusal_of(**said: object) -> tuple[Defect, str]:
    """For what, and where, such an adjustment is refused."""
    with pytest.raises(Undecodable) as refused:
        fact_of(**said)
    return refused.value.defect, refused.value.path


def test_points_are_given_and_taken() -> None:
    given = fact_of(wallet="points", points=1, expires_at="2027-01-01T00:00:00Z")
    taken = fact_of(wallet="points", points=-1, lot_id=1)
    assert isinstance(given, Adjustment)
    assert isinstance(taken, Adjustment)
    assert (given.points, given.lot_id, given.expires_at is None) == (1, None, False)
    assert (taken.points, taken.lot_id, taken.expires_at) == (-1, 1, None)


def test_an_event_is_reversed() -> None:
    fact = fact_of(reverses=REVERSES)
    assert isinstance(fact, Appeal)
    assert fact.reverses == ("/shop", "e-9")


@pytest.mark.parametrize("points", [10**18, -(10**18)])
def test_no_more_points_move_than_an_account_may_hold(points: int) -> None:
    fact = fact_of(wallet="points", points=points)
    assert isinstance(fact, Adjustment)
    assert fact.points == points
    further = points + (1 if points > 0 else -1)
    assert refusal_of(wallet="points", points=further) == (Defect.INVALID_FIELD, "data.points")


@pytest.mark.parametrize(
    ("said", "path"),
    [
        ({"wallet": "points", "points": 0}, "data.points"),
        ({"wallet": "points"}, "data.points"),
        ({"points": 1}, "data.wallet"),
        ({"wallet": "points", "points": -1, "expires_at": "2027-01-01T00:00:00Z"}, "data.expires_at"),
        ({"wallet": "points", "points": 1, "lot_id": 1}, "data.lot_id"),
        ({"wallet": "points", "points": -1, "lot_id": 0}, "data.lot_id"),
        ({"wallet": "points", "points": 1, "reason": ""}, "data.reason"),
        ({"wallet": "points", "points": 1, "reason": "x" * 501}, "data.reason"),
        ({"reverses": REVERSES, "wallet": "points"}, "data.wallet"),
        ({"reverses": REVERSES, "points": 1}, "data.points"),
        ({"reverses": REVERSES, "expires_at": "2027-01-01T00:00:00Z"}, "data.expires_at"),
        ({"reverses": REVERSES, "lot_id": 1}, "data.lot_id"),
        ({"reverses": REVERSES, "import_id": "i-1"}, "data.import_id"),
        ({"reverses": {"source": "/shop"}}, "data.reverses.id"),
    ],
)
def test_what_an_adjustment_may_not_say_is_named(said: dict[str, Any], path: str) -> None:
    assert refusal_of(**said) == (Defect.INVALID_FIELD, path)
