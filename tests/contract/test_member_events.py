"""The data of check-ins, behaviours and members: what is taken, what is refused, and that the schemas say the same."""

from datetime import date, timedelta
from typing import Any

import pytest
from jsonschema import Draft202012Validator, FormatChecker
from pydantic import TypeAdapter, ValidationError

from shared.contracts.behaviour import BehaviourData
from shared.contracts.check_in import CheckInData
from shared.contracts.member import MAX_TAGS, MemberData

AT = "2026-03-01T13:30:00-05:00"
CHECK_IN = {"member_id": "m-1042", "streak": "daily", "makeup_day": "2026-02-28", "occurred_at": AT}
BEHAVIOUR = {"member_id": "m-1042", "behaviour": "review", "order_id": "o-1", "subject": "m-7", "occurred_at": AT}
MEMBER = {
    "member_id": "m-1042",
    "version": 3,
    "joined": "2019-05-31",
    "birthday": "02-29",
    "country": "CN",
    "tags": ["student", "学生"],
    "occurred_at": AT,
}
OF: dict[str, tuple[TypeAdapter[Any], dict[str, Any]]] = {
    "check-in": (TypeAdapter(CheckInData), CHECK_IN),
    "behaviour": (TypeAdapter(BehaviourData), BEHAVIOUR),
    "member": (TypeAdapter(MemberData), MEMBER),
}


def is_taken(contract: str, data: dict[str, Any]) -> bool:
    """Whether the reader takes it; the schema must say the same."""
    adapter, _ = OF[contract]
    said = Draft202012Validator(adapter.json_schema(), format_checker=FormatChecker()).is_valid(data)
    try:
        adapter.validate_json(TypeAdapter(Any).dump_json(data))
    except ValidationError:
        assert not said
        return False
    assert said
    return True


@pytest.mark.parametrize("contract", OF)
def test_a_whole_one_is_taken_as_it_is(contract: str) -> None:
    adapter, data = OF[contract]
    assert is_taken(contract, data)
    assert adapter.validate_json(TypeAdapter(Any).dump_json({**data, "colour": "blue"})) == data


@pytest.mark.parametrize(
    ("contract", "needed"),
    [
        ("check-in", {"member_id", "occurred_at"}),
        ("behaviour", {"member_id", "behaviour", "occurred_at"}),
        ("member", {"member_id", "version", "occurred_at"}),
    ],
)
def test_what_may_be_left_out_is_null(contract: str, needed: set[str]) -> None:
    adapter, data = OF[contract]
    least = {name: value for name, value in data.items() if name in needed}
    read = adapter.validate_json(TypeAdapter(Any).dump_json(least))
    assert read == dict.fromkeys(data) | least
    assert is_taken(contract, read)
    for name in needed:
        assert not is_taken(contract, {key: value for key, value in least.items() if key != name})


@pytest.mark.parametrize(
    ("contract", "field", "value"),
    [
        ("check-in", "member_id", ""),
        ("check-in", "streak", ""),
        ("check-in", "streak", "x" * 129),
        ("check-in", "makeup_day", "2026-02-29"),
        ("check-in", "makeup_day", "2100-02-29"),
        ("check-in", "makeup_day", "2026-04-31"),
        ("check-in", "makeup_day", "2026-3-01"),
        ("check-in", "makeup_day", "2026-03-01\n"),
        ("check-in", "makeup_day", "2026-03-01T00:00:00Z"),
        ("check-in", "makeup_day", 20260301),
        ("check-in", "occurred_at", "2026-03-01"),
        ("behaviour", "behaviour", ""),
        ("behaviour", "behaviour", None),
        ("behaviour", "order_id", ""),
        ("behaviour", "subject", 7),
        ("member", "version", 0),
        ("member", "version", "3"),
        ("member", "version", True),
        ("member", "version", 2**53),
        ("member", "joined", "1899-12-31"),
        ("member", "birthday", "02-30"),
        ("member", "birthday", "13-01"),
        ("member", "birthday", "1990-01-31"),
        ("member", "country", "cn"),
        ("member", "country", "CHN"),
        ("member", "tags", [""]),
        ("member", "tags", ["x" * 65]),
        ("member", "tags", ["x"] * (MAX_TAGS + 1)),
        ("member", "tags", "student"),
    ],
)
def test_what_is_refused(contract: str, field: str, value: object) -> None:
    assert not is_taken(contract, {**OF[contract][1], field: value})


def test_every_day_that_there_is_can_be_named_and_no_other() -> None:
    adapter = TypeAdapter(CheckInData)
    day, last = date(1900, 1, 1), date(2100, 12, 31)
    while day <= last:
        adapter.validate_python({"member_id": "m", "makeup_day": str(day), "occurred_at": AT})
        day += timedelta(days=1)
    for year in (1900, 2023, 2100):
        with pytest.raises(ValidationError):
            adapter.validate_python({"member_id": "m", "makeup_day": f"{year}-02-29", "occurred_at": AT})


@pytest.mark.parametrize("contract", OF)
def test_every_field_is_described(contract: str) -> None:
    schema = OF[contract][0].json_schema()
    assert [name for name, field in schema["properties"].items() if not field.get("description")] == []
