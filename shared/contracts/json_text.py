"""JSON as Kafka brings it: parsed, with one canonical text, and without what two readers could read differently."""

import json
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

import orjson

from shared.contracts.defect import Defect, Undecodable, path_of

Path = tuple[int | str, ...]


class _RepeatedKey(NamedTuple):
    """Stands in for an object that has `key` more than once."""

    key: str


def parse(raw: bytes) -> object:
    """The value of a JSON text in UTF-8. Lone surrogates, NaN and trailing text are refused with `Undecodable`."""
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise Undecodable(Defect.NOT_JSON, "value", f"The value is not JSON in UTF-8: {error}.") from None


def canonical(value: object) -> bytes:
    """The one text of a JSON value, whatever order its keys had, and however it was spaced and escaped."""
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError:
        raise Undecodable(
            Defect.TOO_DEEP, "value", "The value is nested too deeply; an event needs a few levels."
        ) from None


def check(raw: bytes, text: bytes, prefix: Path = ()) -> None:
    """Refuses repeated keys and U+0000 in `raw`, whose canonical text is `text`; paths begin with `prefix`.

    The quick test: parsing keeps the last of two equal keys, so a repeated one takes at least one colon away.
    Nothing but an escaped colon could put it back. Only a text that fails the test is looked at closely.
    """
    if raw.count(b":") != text.count(b":") or (b"\\" in raw and (b"\\u003" in raw or b"\\u0000" in raw)):
        _look_closely(raw, prefix)


def _look_closely(raw: bytes, prefix: Path) -> None:
    try:
        # Numbers do not matter here, and Python's integers refuse very long ones.
        marked = json.loads(raw, object_pairs_hook=_mark_repeated_keys, parse_int=float)
    except RecursionError:
        raise Undecodable(Defect.TOO_DEEP, "value", "The value is nested too deeply.") from None
    faults = list(_faults(marked, prefix))
    if faults:
        defect, path = faults[0]
        reason = (
            "The same key is in the object twice; send it once."
            if defect is Defect.DUPLICATE_KEY
            else "The text holds the character U+0000, which cannot be kept; leave it out."
        )
        raise Undecodable(defect, path_of(path), reason, count=len(faults))


def _mark_repeated_keys(pairs: list[tuple[str, object]]) -> object:
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    times = Counter(key for key, _ in pairs)
    return _RepeatedKey(next(key for key in times if times[key] > 1))


def _faults(node: object, path: Path) -> Iterator[tuple[Defect, Path]]:
    """What is wrong at and below `node`, in the order of the text."""
    match node:
        case _RepeatedKey(key):
            yield Defect.DUPLICATE_KEY, (*path, key)
        case str():
            if "\0" in node:
                yield Defect.NUL_CHARACTER, path
        case dict():
            for key, value in node.items():
                if "\0" in key:
                    yield Defect.NUL_CHARACTER, (*path, key)
                yield from _faults(value, (*path, key))
        case list():
            for index, value in enumerate(node):
                yield from _faults(value, (*path, index))
