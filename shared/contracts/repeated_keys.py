"""Keys that an object has twice: JSON's parsers disagree on which one counts, so neither is taken (docs/adr/0010)."""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from shared.contracts.defect import Defect, Undecodable, path_of

Path = tuple[int | str, ...]

LeftOut = tuple[int, int]
"""Of an event's data with all defaults filled in: how many members may have been left out of its message, and how many
characters they have as JSON, with a comma each."""

_ENVELOPE_KEYS = 5
"""specversion, id, source, type and data."""


def left_out_of(defaults: Mapping[str, object]) -> Callable[[Mapping[str, Any]], LeftOut]:
    """What gives the `LeftOut` of data that have these optional fields, and none within others."""
    chars = {name: len(json.dumps({name: value}, separators=(",", ":"))) - 1 for name, value in defaults.items()}

    def left_out(data: Mapping[str, Any]) -> LeftOut:
        missing = [name for name, value in defaults.items() if data[name] == value]
        return len(missing), sum([chars[name] for name in missing])

    return left_out


def is_shortest(value: bytes, canonical: bytes, left_out: LeftOut) -> bool:
    """Whether a message in binary mode is as short as its data can be written, so that it has no room for a second key.

    `canonical` is the data as JSON without spaces, with defaults filled in. What equals its default may have been left
    out; a message that is as short as without all of these has nothing twice.
    """
    return len(value) == len(canonical) - left_out[1]


def has_fewest_colons(value: bytes, canonical: bytes, left_out: LeftOut, envelope: str | None) -> bool:
    """Whether a message has no more colons than its known keys and texts must have, so that no key is there twice.

    `envelope` is the id and the source of a message in structured mode. A message with an escape in it may hide colons
    and says nothing.
    """
    least = canonical.count(b":") - left_out[0]
    if envelope is not None:
        least += _ENVELOPE_KEYS + envelope.count(":")
    return value.count(b":") == least and b"\\" not in value


def check_for_repeated_keys(value: bytes, of_event: Path) -> None:
    """Refuses a message in which an object has a key twice, with `Undecodable`. `value` is JSON that was read before;
    `of_event` are the steps from the event to it."""
    repeated: list[_Repeating] = []

    def keep(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            found = _Repeating(found)
            found.key = _second(pairs)
            repeated.append(found)
        return found

    # Numbers are not looked at; one of thousands of digits would be refused here.
    event = json.loads(value, object_pairs_hook=keep, parse_int=len, parse_float=len, parse_constant=len)
    if repeated:
        path = next(_paths(event, of_event))
        reason = "The object has this key more than once; send it once."
        raise Undecodable(Defect.REPEATED_KEY, path_of(path), reason, count=len(repeated))


class _Repeating(dict[str, Any]):
    """An object that has `key` more than once."""

    key: str


def _second(pairs: list[tuple[str, Any]]) -> str:
    seen: set[str] = set()
    for key, _ in pairs:
        if key in seen:
            return key
        seen.add(key)
    raise ValueError("every key is there once")


def _paths(node: object, path: Path) -> Iterator[Path]:
    match node:
        case _Repeating():
            yield (*path, node.key)
        case dict():
            for key, value in node.items():
                yield from _paths(value, (*path, key))
        case list():
            for index, value in enumerate(node):
                yield from _paths(value, (*path, index))
        case _:
            pass
