"""Lone surrogates: JSON can escape half of a character, which is no text in any encoding."""

import json
import re
from collections.abc import Iterator

from shared.contracts.defect import Defect, Undecodable, path_of

Path = tuple[int | str, ...]

_LONE = re.compile("[\ud800-\udfff]")


def refusal_of_surrogate(value: bytes, of_event: Path) -> Undecodable | None:
    """The refusal of a message that is JSON but for a lone surrogate, which the strict parser stopped at; else None.
    `of_event` are the steps from the event to the value."""
    try:
        event = json.loads(value, parse_int=len, parse_float=len)
    except (ValueError, RecursionError):
        return None
    path = next(_paths(event, of_event), None)
    if path is None:
        return None
    reason = "The text holds half of a character (a lone surrogate); send whole characters."
    return Undecodable(Defect.LONE_SURROGATE, path_of(path) or "value", reason)


def _paths(node: object, path: Path) -> Iterator[Path]:
    match node:
        case str():
            if _LONE.search(node):
                yield path
        case dict():
            for key, value in node.items():
                if _LONE.search(key):
                    yield path
                yield from _paths(value, (*path, key))
        case list():
            for index, value in enumerate(node):
                yield from _paths(value, (*path, index))
        case _:
            pass
