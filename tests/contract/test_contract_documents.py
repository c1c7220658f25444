"""The published documents are those of the models, and what they show is true."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from contract_messages import DATA, binary, data_with, data_without, refusal
from jsonschema import Draft202012Validator, FormatChecker

from shared.contracts import behaviour, check_in, examples, member, order_paid, points_changed, refund
from shared.contracts.asyncapi import document, headers_schema
from shared.contracts.inbound import BY_TYPE
from shared.contracts.points_changed import PointsChangedData
from shared.contracts.schemas import DATA_OF, DIRECTORY, documents, program_schema, schema_of

EXAMPLES = {
    "order-paid.v1": examples.ORDER_PAID,
    "refund.v1": examples.REFUND,
    "check-in.v1": examples.CHECK_IN,
    "behaviour.v1": examples.BEHAVIOUR,
    "member.v1": examples.MEMBER,
    "points-changed.v1": examples.POINTS_CHANGED,
}


def validator(schema: dict[str, Any]) -> Draft202012Validator:
    return Draft202012Validator(schema, format_checker=FormatChecker())


@pytest.mark.parametrize("name", documents())
def test_a_committed_document_is_that_of_the_models(name: str) -> None:
    committed = (DIRECTORY / name).read_text(encoding="utf-8")
    assert committed == documents()[name], "run `python -m shared.contracts.schemas` and commit what it writes"


@pytest.mark.parametrize("contract", DATA_OF)
def test_a_schema_is_valid_and_describes_every_field_of_the_data(contract: str) -> None:
    schema = schema_of(contract)
    Draft202012Validator.check_schema(schema)
    assert [name for name, field in schema["properties"].items() if not field.get("description")] == []


@pytest.mark.parametrize("contract", DATA_OF)
def test_an_example_keeps_its_schema(contract: str) -> None:
    validator(schema_of(contract)).validate(EXAMPLES[contract]["payload"])


@pytest.mark.parametrize(
    ("contract", "event_type", "sent_by_us"),
    [
        ("order-paid.v1", order_paid.TYPE, False),
        ("refund.v1", refund.TYPE, False),
        ("check-in.v1", check_in.TYPE, False),
        ("behaviour.v1", behaviour.TYPE, False),
        ("member.v1", member.TYPE, False),
        ("points-changed.v1", points_changed.TYPE, True),
    ],
)
def test_the_headers_of_an_example_keep_their_schema(contract: str, event_type: str, sent_by_us: bool) -> None:
    validator(headers_schema(event_type, sent_by_us=sent_by_us)).validate(EXAMPLES[contract]["headers"])


def test_the_examples_are_messages_that_the_code_takes() -> None:
    value = json.dumps(examples.ORDER_PAID["payload"]).encode()
    headers = [(name, text.encode()) for name, text in examples.ORDER_PAID["headers"].items()]
    assert order_paid.decode(value, headers).fact.order_id == "o-77120"
    PointsChangedData.model_validate_json(json.dumps(examples.POINTS_CHANGED["payload"]))


BROKEN: list[dict[str, Any]] = [
    data_without("member_id"),
    data_without("lines.0.paid"),
    data_with("order_id", "x" * 129),
    data_with("channel", "a\0b"),
    data_with("paid", "1900"),
    data_with("paid", -1),
    data_with("paid", True),
    data_with("currency", "usd"),
    data_with("lines", []),
    data_with("lines.0.quantity", 10**9 + 1),
    data_with("occurred_at", "2026-03-01T13:30:00"),
]


@pytest.mark.parametrize("data", BROKEN)
def test_what_the_schema_forbids_the_reader_refuses(data: dict[str, Any]) -> None:
    assert list(validator(schema_of("order-paid.v1")).iter_errors(data))
    assert refusal(binary(data)).path.startswith("data")


def test_the_schema_takes_what_the_reader_takes() -> None:
    schema = validator(schema_of("order-paid.v1"))
    schema.validate(DATA)
    schema.validate(data_with("lines.0.colour", "blue"))


def test_every_reference_of_the_asyncapi_document_leads_somewhere() -> None:
    text = yaml.safe_load((DIRECTORY / "asyncapi.yaml").read_text(encoding="utf-8"))
    references = list(_references(text))
    assert references
    for reference in references:
        if reference.startswith("#/"):
            node = text
            for step in reference.removeprefix("#/").split("/"):
                node = node[step]
        else:
            assert (DIRECTORY / reference).is_file()


def test_the_asyncapi_document_has_a_channel_an_operation_and_an_example_for_each_message() -> None:
    described = document()
    assert described["asyncapi"] == "3.0.0"
    messages = described["components"]["messages"]
    assert {message["name"] for message in messages.values()} == {*BY_TYPE, points_changed.TYPE}
    for name, message in messages.items():
        assert message["examples"]
        assert message["bindings"]["kafka"]["key"]
        assert name in described["channels"][name]["messages"]
    assert {operation["action"] for operation in described["operations"].values()} == {"receive", "send"}


def _references(node: Any) -> list[str]:
    if isinstance(node, dict):
        own = [node["$ref"]] if "$ref" in node else []
        return own + [found for value in node.values() for found in _references(value)]
    return [found for value in node for found in _references(value)] if isinstance(node, list) else []


PROGRAMS = sorted((DIRECTORY.parents[1] / "programs").glob("*.yaml"))


@pytest.mark.parametrize("file", PROGRAMS, ids=lambda file: str(file.name))
def test_an_editor_takes_every_program_that_ships(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    assert text.startswith("# yaml-language-server: $schema=../docs/contracts/program.schema.json\n")
    validator(program_schema()).validate(yaml.safe_load(text))


@pytest.mark.parametrize(
    ("written", "instead"),
    [
        ("rate: 1/2", "rate: half"),
        ("rate: 1/2", "rates: 1/2"),
        ("expiry: never", "expiry: sometimes"),
        ("expiry: never", "expiry: null"),
        ("{months: 3}", "{months: 3, days: 4}"),
        ("late_tolerance: 30d", "late_tolerance: 30 days"),
        ("zone: America/New_York\n", ""),
    ],
)
def test_an_editor_marks_what_would_be_refused(written: str, instead: str) -> None:
    grocery = (DIRECTORY.parents[1] / "programs" / "grocery.yaml").read_text(encoding="utf-8")
    assert grocery.count(written) == 1
    with pytest.raises(jsonschema.ValidationError):
        validator(program_schema()).validate(yaml.safe_load(grocery.replace(written, instead)))


MULTIPLIERS: list[dict[str, Any]] = [
    {"id": "tier", "by_tier": {"silver": 1.2, "gold": "3/2"}, "rules": ["base"]},
    {"id": "birthday", "factor": 2, "days": "birthday"},
    {"id": "member-day", "factor": "1.2", "days": {"days_of_month": [8, 18]}, "match": {"payment_methods": ["card"]}},
]


def program_with(multipliers: list[dict[str, Any]]) -> dict[str, Any]:
    program: dict[str, Any] = yaml.safe_load(PROGRAMS[0].read_text(encoding="utf-8"))
    return {**program, "stacking": "multiplicative", "multipliers": multipliers}


def test_an_editor_takes_multipliers() -> None:
    validator(program_schema()).validate(program_with(MULTIPLIERS))


@pytest.mark.parametrize(
    "instead",
    [
        {"factor": 0.5},
        {"factor": 2, "by_tier": {"gold": 2}},
        {},
        {"factor": 2, "on": "christmas"},
        {"factor": 2, "days": {}},
        {"factor": 2, "days": {"days_of_month": [32]}},
        {"factor": 2, "days": {"days_of_month": [1], "weekdays": ["monday"]}},
        {"factor": 2, "match": {"brands": ["Leaf"]}},
        {"factor": 2, "rules": []},
        {"factor": 2, "id": "base/tier"},
    ],
)
def test_an_editor_marks_a_multiplier_that_would_be_refused(instead: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        validator(program_schema()).validate(program_with([{"id": "one", **instead}]))


def test_every_field_of_a_program_is_described() -> None:
    schema = program_schema()
    parts = {"program": schema, **schema["$defs"]}
    missing = [
        f"{name}.{field}"
        for name, part in parts.items()
        for field, said in part.get("properties", {"itself": part}).items()
        if not said.get("description")
    ]
    assert missing == []
