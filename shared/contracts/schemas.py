"""The contracts as documents for others: a JSON Schema for each event's data, and one AsyncAPI document.

`python -m shared.contracts.schemas` writes them to docs/contracts; a test fails while those differ.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core.core_schema import ModelSchema, NullableSchema, WithDefaultSchema

from shared.contracts import points_changed
from shared.contracts.asyncapi import document
from shared.contracts.inbound import CONTRACTS
from shared.contracts.program import ProgramDocument

DIRECTORY = Path(__file__).parents[2] / "docs" / "contracts"

DATA_OF: Mapping[str, Any] = {
    **{contract.name: contract.data for contract in CONTRACTS.values()},
    "points-changed.v1": points_changed.PointsChangedData,
}
"""The type of each contract's data, by its name and version."""


class _Untitled(GenerateJsonSchema):
    """Leaves out the titles that only repeat a field's name."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


class _Written(_Untitled):
    """For documents that people write: what is not wanted is left out, and nobody writes null for it."""

    def nullable_schema(self, schema: NullableSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: WithDefaultSchema) -> JsonSchemaValue:
        inner = super().default_schema(schema)
        if inner.get("default", ...) is None:
            del inner["default"]
        return inner


class _Published(_Untitled):
    """Lets objects grow.

    We refuse to send a field that our contract does not have; those who read must not, or none could ever be added.
    """

    def model_schema(self, schema: ModelSchema) -> JsonSchemaValue:
        published = super().model_schema(schema)
        published.pop("additionalProperties", None)
        return published


class _Dumper(yaml.SafeDumper):
    """YAML for people: texts of several lines stand as they are."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)


def schema_of(contract: str) -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a contract's data."""
    schema = TypeAdapter(DATA_OF[contract]).json_schema(schema_generator=_Published)
    return {
        "$schema": GenerateJsonSchema.schema_dialect,
        "$id": f"urn:pointstream:{contract}",
        **schema,
        "title": contract,
    }


def program_schema() -> dict[str, Any]:
    """The JSON Schema of the program document, with which an editor completes and checks it."""
    schema = ProgramDocument.model_json_schema(schema_generator=_Written)
    return {
        "$schema": GenerateJsonSchema.schema_dialect,
        "$id": "urn:pointstream:program",
        **schema,
        "title": "Pointstream program",
    }


def documents() -> dict[str, str]:
    """The text of every document, by its file name."""
    texts = {f"{contract}.schema.json": _as_json(schema_of(contract)) for contract in DATA_OF}
    asyncapi = yaml.dump(document(), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)
    return {**texts, "program.schema.json": _as_json(program_schema()), "asyncapi.yaml": asyncapi}


def write(directory: Path = DIRECTORY) -> None:
    """Write every document."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in documents().items():
        (directory / name).write_text(text, encoding="utf-8")


def _as_json(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    write()
