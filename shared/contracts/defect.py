"""Why a message cannot be decoded, as a value that a dead letter can keep."""

from enum import StrEnum
from typing import Self, TypeGuard

from shared.contracts.fields import MAX_ATTRIBUTE_CHARS

MAX_PATH_CHARS = 200
"""A path may end in a key that somebody else chose; a dead letter keeps no more of it than this."""


class Defect(StrEnum):
    """The named reasons for which a message is refused. They are part of the contract and are never renamed."""

    EMPTY = "empty"
    """There is no value, as in a tombstone."""
    TOO_LARGE = "too_large"
    """The value is larger than `MAX_MESSAGE_BYTES`."""
    NOT_CLOUDEVENTS = "not_cloudevents"
    """Neither the headers nor the value say that it is a CloudEvent, or its format is another one than JSON."""
    INVALID_HEADER = "invalid_header"
    """A header is there twice, is not text in UTF-8, lies outside its limits, or is a time that is no instant."""
    MISSING_HEADER = "missing_header"
    """A header that the binary mode needs is not there."""
    NOT_JSON = "not_json"
    """The value is not one JSON text in UTF-8, or is nested deeper than the parser goes (200 levels)."""
    NUL_CHARACTER = "nul_character"
    """A string holds the character U+0000, which the ledger's database cannot keep."""
    LONE_SURROGATE = "lone_surrogate"
    """A string holds half of a character (`\\ud800`), which is no text."""
    REPEATED_KEY = "repeated_key"
    """An object has a key twice, and nobody can say which one is meant."""
    WRONG_SPECVERSION = "wrong_specversion"
    """It is a CloudEvent of another version than 1.0."""
    UNKNOWN_TYPE = "unknown_type"
    """This reader knows no event of that type."""
    INVALID_FIELD = "invalid_field"
    """A field is missing, has another type than it should, or lies outside its limits."""
    DUPLICATE_LINE = "duplicate_line"
    """Two lines of an order have the same line id."""
    LINES_DO_NOT_ADD_UP = "lines_do_not_add_up"
    """A line's amounts contradict each other, or the lines and the shipping are not what was paid."""


class Undecodable(Exception):  # noqa: N818 - the name says what is the matter with the message
    """A message that cannot be decoded.

    `path` is where the first defect is, as in `data.lines[2].paid`; `value` and `headers` are the message's own
    parts. `reason` says in one sentence what is wrong. `count` is how many defects were found. `event_id` and
    `source` are those of the event, or None where it was too broken to tell. No text in here holds U+0000.
    """

    def __init__(
        self,
        defect: Defect,
        path: str,
        reason: str,
        *,
        count: int = 1,
    ) -> None:
        self.defect = defect
        self.path = path.replace("\0", "\\0")[:MAX_PATH_CHARS]
        self.reason = reason
        self.count = count
        self.event_id: str | None = None
        self.source: str | None = None
        super().__init__(f"{self.path}: {reason}")

    def in_event(self, event_id: object, source: object) -> Self:
        """Itself, saying which event it is about, as far as what the event says of itself is sound."""
        self.event_id = event_id if _is_sound(event_id) else None
        self.source = source if _is_sound(source) else None
        return self


def path_of(steps: tuple[int | str, ...]) -> str:
    """The steps from the root to a field as text: ("data", "lines", 2, "paid") → `data.lines[2].paid`."""
    path = ""
    for step in steps:
        path += f"[{step}]" if isinstance(step, int) else f".{step}" if path else step
    return path


def _is_sound(attribute: object) -> TypeGuard[str]:
    """Whether it can be the id or the source of an event."""
    return isinstance(attribute, str) and 0 < len(attribute) <= MAX_ATTRIBUTE_CHARS and "\0" not in attribute
