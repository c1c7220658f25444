"""The character U+0000: JSON can send it, PostgreSQL's text cannot keep it."""

from collections.abc import Iterator

from shared.contracts.defect import Defect, Undecodable, path_of

Path = tuple[int | str, ...]


def check_for_nul(event: object) -> None:
    """Refuses an event with U+0000 in one of its strings, with `Undecodable`."""
    paths = list(_strings_with_nul(event, ()))
    if paths:
        reason = "The text holds the character U+0000, which cannot be kept; leave it out."
        raise Undecodable(Defect.NUL_CHARACTER, path_of(paths[0]), reason, count=len(paths))


def _strings_with_nul(node: object, path: Path) -> Iterator[Path]:
    match node:
        case str():
            if "\0" in node:
                yield path
        case dict():
            for key, value in node.items():
                yield from _strings_with_nul(value, (*path, key))
        case list():
            for index, value in enumerate(node):
                yield from _strings_with_nul(value, (*path, index))
        case _:
            pass
