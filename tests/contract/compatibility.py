"""Whether a contract may be replaced by a changed one while others still rely on the old.

Inbound, the new schema must accept all that the old one does. Outbound, all that the new one allows us to send must be
something that the old one led readers to expect, except for additional fields, which they pass over.
"""

from collections.abc import Iterator
from typing import Any

Schema = dict[str, Any]

_LOWER_LIMITS = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
_UPPER_LIMITS = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")
_FORMS = ("pattern", "format")
_ANY_TYPE = frozenset({"string", "number", "integer", "boolean", "object", "array", "null"})


def inbound_breaks(old: Schema, new: Schema) -> list[str]:
    """What the new schema takes from those who send by the old one, each as `path: what`."""
    return [*_removed_fields(_Node(old), _Node(new)), *_narrowings(_Node(old), _Node(new))]


def outbound_breaks(old: Schema, new: Schema) -> list[str]:
    """What the new schema may send that readers by the old one do not expect, each as `path: what`."""
    return [*_removed_fields(_Node(old), _Node(new)), *_narrowings(_Node(new), _Node(old))]


class _Node:
    """A place in a schema, with its references followed and its `anyOf [X, null]` folded into one."""

    def __init__(self, schema: Schema, root: Schema | None = None, path: str = "") -> None:
        self.root = schema if root is None else root
        self.path = path
        self.types: frozenset[str] = frozenset()
        self.rules: Schema = {}
        self._take(schema)
        self.types = self.types or _ANY_TYPE

    def _take(self, schema: Schema) -> None:
        if "$ref" in schema:
            self._take(self.root["$defs"][schema["$ref"].removeprefix("#/$defs/")])
        for branch in schema.get("anyOf", []):
            self._take(branch)
        if "type" in schema:
            declared = schema["type"]
            self.types |= {declared} if isinstance(declared, str) else set(declared)
        self.rules.update({key: rule for key, rule in schema.items() if key not in ("$ref", "anyOf", "type")})

    def below(self, key: str, schema: Schema) -> "_Node":
        return _Node(schema, self.root, f"{self.path}.{key}" if self.path else key)

    def fields(self) -> dict[str, "_Node"]:
        return {name: self.below(name, schema) for name, schema in self.rules.get("properties", {}).items()}

    def parts(self) -> dict[str, "_Node"]:
        """What holds for all items, all keys or all values of it."""
        kinds = {"items": "[]", "additionalProperties": "{}", "propertyNames": "{key}"}
        schemas = {key: self.rules[key] for key in kinds if isinstance(self.rules.get(key), dict)}
        return {kinds[key]: self.below(kinds[key], schema) for key, schema in schemas.items()}

    def values(self) -> frozenset[object] | None:
        """The only values that it may have; None for any."""
        if "const" in self.rules:
            return frozenset({self.rules["const"]})
        return frozenset(self.rules["enum"]) if "enum" in self.rules else None


def _removed_fields(old: _Node, new: _Node) -> Iterator[str]:
    kept = new.fields()
    for name, field in old.fields().items():
        if name not in kept:
            yield f"{field.path}: field removed"
        else:
            yield from _removed_fields(field, kept[name])
    parts = new.parts()
    for key, part in old.parts().items():
        if key in parts:
            yield from _removed_fields(part, parts[key])


def _narrowings(wide: _Node, narrow: _Node) -> Iterator[str]:
    """In what `narrow` is no more than a part of `wide`."""
    yield from (f"{narrow.path}: {what}" for what in _own_narrowings(wide, narrow))
    fields = narrow.fields()
    for name, field in wide.fields().items():
        if name in fields:
            yield from _narrowings(field, fields[name])
    parts = narrow.parts()
    for key, part in wide.parts().items():
        if key in parts:
            yield from _narrowings(part, parts[key])
    yield from (f"{parts[key].path}: limited in one only" for key in parts.keys() - wide.parts().keys())


def _own_narrowings(wide: _Node, narrow: _Node) -> Iterator[str]:
    yield from (f"type {name} in one only" for name in sorted(_accepted(wide.types) - _accepted(narrow.types)))
    yield from _value_narrowings(wide.values(), narrow.values())
    required = set(narrow.rules.get("required", [])) - set(wide.rules.get("required", []))
    yield from (f"{name} required in one only" for name in sorted(required))
    if narrow.rules.get("additionalProperties") is False and wide.rules.get("additionalProperties") is not False:
        yield "additional fields refused in one only"
    if "default" in wide.rules and wide.rules["default"] != narrow.rules.get("default"):
        yield "default differs"
    for key in _LOWER_LIMITS:
        if key in narrow.rules and narrow.rules[key] > wide.rules.get(key, float("-inf")):
            yield f"{key} differs"
    for key in _UPPER_LIMITS:
        if key in narrow.rules and narrow.rules[key] < wide.rules.get(key, float("inf")):
            yield f"{key} differs"
    for key in _FORMS:
        if key in narrow.rules and narrow.rules[key] != wide.rules.get(key):
            yield f"{key} differs"


def _accepted(types: frozenset[str]) -> frozenset[str]:
    return types | {"integer"} if "number" in types else types


def _value_narrowings(wide: frozenset[object] | None, narrow: frozenset[object] | None) -> Iterator[str]:
    if narrow is None:
        return
    if wide is None:
        yield "values listed in one only"
        return
    yield from (f"value {value} in one only" for value in sorted(map(str, wide - narrow)))
