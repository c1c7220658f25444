"""Why a message cannot be decoded, as a value that a dead letter can keep."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Self

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
    """A header is there twice, or is not text in UTF-8."""
    MISSING_HEADER = "missing_header"
    """A header that the binary mode needs is not there."""
    NOT_JSON = "not_json"
    """The value is not one JSON text in UTF-8."""
    TOO_DEEP = "too_deep"
    """Arrays and objects are nested deeper than the parser goes."""
    DUPLICATE_KEY = "duplicate_key"
    """An object has the same key twice, so that readers may differ on what it says."""
    NUL_CHARACTER = "nul_character"
    """A string holds the character U+0000, which the ledger's database cannot keep."""
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


class Undecodable(Exception):
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

    def in_event(self, attributes: Mapping[str, object]) -> Self:
        """Itself, saying which event it was about as far as the attributes can be trusted to tell."""
        self.event_id = _trusted(attributes.get("id"))
        self.source = _trusted(attributes.get("source"))
        return self


def path_of(steps: tuple[int | str, ...]) -> str:
    """The steps from the root to a field as text: ("data", "lines", 2, "paid") → `data.lines[2].paid`."""
    path = ""
    for step in steps:
        path += f"[{step}]" if isinstance(step, int) else f".{step}" if path else step
    return path


def _trusted(attribute: object) -> str | None:
    sound = isinstance(attribute, str) and 0 < len(attribute) <= MAX_ATTRIBUTE_CHARS and "\0" not in attribute
    return attribute if sound else None
