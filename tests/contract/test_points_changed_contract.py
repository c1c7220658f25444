"""What we send is held to its contract more strictly than what we read."""

import copy
import json
from typing import Any

import pytest
from pydantic import ValidationError

from shared.contracts import examples
from shared.contracts.points_changed import PointsChangedData, event_id_of, source_of

SENT: dict[str, Any] = examples.POINTS_CHANGED["payload"]


def changed(path: str, value: object) -> str:
    data = copy.deepcopy(SENT)
    *steps, last = (int(step) if step.isdigit() else step for step in path.split("."))
    node: Any = data
    for step in steps:
        node = node[step]
    node[last] = value
    return json.dumps(data)


def test_a_posting_goes_through_the_model_unchanged() -> None:
    posting = PointsChangedData.model_validate_json(json.dumps(SENT))
    assert json.loads(posting.model_dump_json(by_alias=True)) == SENT


def test_what_fell_due_has_no_event_and_no_order() -> None:
    due = {**SENT, "kind": "settlement", "event": None, "order_id": None}
    assert PointsChangedData.model_validate_json(json.dumps(due)).event is None


@pytest.mark.parametrize("field", SENT)
def test_every_field_is_always_there(field: str) -> None:
    with pytest.raises(ValidationError, match=field):
        PointsChangedData.model_validate_json(json.dumps({name: SENT[name] for name in SENT if name != field}))


@pytest.mark.parametrize("field", SENT["movements"][0])
def test_every_field_of_a_movement_is_always_there(field: str) -> None:
    movement = {name: value for name, value in SENT["movements"][0].items() if name != field}
    with pytest.raises(ValidationError, match=rf"movements\.0\.{field}"):
        PointsChangedData.model_validate_json(changed("movements.0", movement))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("colour", "blue"),
        ("event.colour", "blue"),
        ("movements.0.colour", "blue"),
        ("movements.0.from_bucket", "issued"),
        ("member_id", ""),
        ("shard", -1),
        ("shard", "17"),
        ("pos", 0),
        ("version", 0),
        ("kind", "gift"),
        ("occurred_at", "2026-03-01T18:30:00Z"),
        ("effective_at", "2026-03-01T18:30:00.000000+00:00"),
        ("recorded_at", 1772389800),
        ("movements", []),
        ("movements.0.amount", 0),
        ("movements.0.amount", 1.0),
        ("movements.0.to", "pocket"),
        ("movements.0.lot_id", 0),
        ("balances", {"points": {"pocket": 1}}),
        ("balances", {"points": {"available": "1"}}),
        ("balances", {"points": {"available": 10**18 + 1}}),
    ],
)
def test_nothing_else_is_sent(path: str, value: object) -> None:
    with pytest.raises(ValidationError):
        PointsChangedData.model_validate_json(changed(path, value))


def test_a_posting_is_named_by_its_place() -> None:
    assert event_id_of(17, 260) == "17-260"
    assert source_of("shop_eu") == "/pointstream/shop_eu"
