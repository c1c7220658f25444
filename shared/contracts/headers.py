"""CloudEvents 1.0 in Kafka messages: both of its modes are read, the binary one is written.

Structured mode: the value is the whole event as JSON, `content-type: application/cloudevents+json`. A message that
has neither a content type nor the headers of the binary mode is taken as one too.
Binary mode: the attributes are headers (`ce_id`, `ce_source`, …), the value is the data alone.

Of the attributes only `specversion`, `type`, `id` and `source` are read. `time` must be an instant where it is there
(RFC 3339, as CloudEvents 1.0 asks). All others are passed over.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from shared.contracts.dates import RFC_3339_INSTANT
from shared.contracts.defect import Defect, Undecodable
from shared.contracts.fields import MAX_ATTRIBUTE_CHARS, MAX_MESSAGE_BYTES
from shared.domain.facts import EventRef
from shared.domain.ids import EventId, EventSource

Headers = Sequence[tuple[str, bytes | None]]
"""A message's headers, as aiokafka gives and takes them."""

_CONTENT_TYPE: Final = "content-type"
_SPEC_VERSION: Final = "ce_specversion"
_TIME: Final = "ce_time"
_STRUCTURED: Final = b"application/cloudevents+json"
_JSON: Final = b"application/json"
_is_instant = re.compile(RFC_3339_INSTANT.encode()).fullmatch


def check_size(value: bytes | None) -> bytes:
    """The value itself. Raises `Undecodable` when there is none, or too much of it."""
    if not value:
        raise Undecodable(Defect.EMPTY, "value", "The message has no value; an event needs one.")
    if len(value) > MAX_MESSAGE_BYTES:
        reason = f"The value has {len(value)} bytes; the limit is {MAX_MESSAGE_BYTES}."
        raise Undecodable(Defect.TOO_LARGE, "value", reason)
    return value


def by_name(headers: Headers) -> Mapping[str, bytes | None]:
    """The headers by name. Raises `Undecodable` when one that is read here is there twice."""
    found = dict(headers)
    if len(found) != len(headers):
        times = Counter(name for name, _ in headers)
        for name, count in times.items():
            if count > 1 and (name == _CONTENT_TYPE or name.startswith("ce_")):
                reason = f"The header is there {count} times; send it once."
                raise Undecodable(Defect.INVALID_HEADER, f"headers.{name}", reason)
    return found


def is_structured(headers: Mapping[str, bytes | None]) -> bool:
    """Which mode a message is in: True for structured, False for binary. Raises `Undecodable` for other formats."""
    content_type = headers.get(_CONTENT_TYPE)
    if content_type == _JSON:
        return False
    if content_type is None:
        return _SPEC_VERSION not in headers
    media_type = content_type.partition(b";")[0].strip().lower()
    if media_type not in (_JSON, _STRUCTURED):
        reason = f"The content type must be {_JSON.decode()} in binary mode, {_STRUCTURED.decode()} in structured mode."
        raise Undecodable(Defect.NOT_CLOUDEVENTS, f"headers.{_CONTENT_TYPE}", reason)
    return media_type == _STRUCTURED


def ref_of(headers: Mapping[str, bytes | None], event_type: str) -> EventRef:
    """Which event the headers of the binary mode speak of. Raises `Undecodable` when it is not an `event_type`,
    or was written at no instant."""
    if headers.get(_SPEC_VERSION) != b"1.0":
        _attribute(headers, _SPEC_VERSION)
        reason = "The version of CloudEvents must be 1.0."
        raise Undecodable(Defect.WRONG_SPECVERSION, f"headers.{_SPEC_VERSION}", reason)
    event_id, source = _attribute(headers, "ce_id"), _attribute(headers, "ce_source")
    if headers.get("ce_type") != event_type.encode():
        _attribute(headers, "ce_type")
        refused = Undecodable(Defect.UNKNOWN_TYPE, "headers.ce_type", f"The type must be {event_type}.")
        raise refused.in_event(event_id, source)
    time = headers.get(_TIME)
    if time is not None and not _is_instant(time):
        reason = "The header must be an instant of RFC 3339, like 2026-03-01T18:30:05Z; or leave it out."
        raise Undecodable(Defect.INVALID_HEADER, f"headers.{_TIME}", reason).in_event(event_id, source)
    return EventRef(EventSource(source), EventId(event_id), event_type)


def encode_headers(
    *,
    event_id: str,
    source: str,
    event_type: str,
    time: str,
    subject: str | None = None,
    partition_key: str | None = None,
) -> list[tuple[str, bytes]]:
    """The headers of an event in binary mode, whose data is the message's value as JSON. `time` is RFC 3339."""
    headers = [
        (_SPEC_VERSION, b"1.0"),
        ("ce_id", event_id.encode()),
        ("ce_source", source.encode()),
        ("ce_type", event_type.encode()),
        (_TIME, time.encode()),
        (_CONTENT_TYPE, _JSON),
    ]
    if subject is not None:
        headers.append(("ce_subject", subject.encode()))
    if partition_key is not None:
        headers.append(("ce_partitionkey", partition_key.encode()))
    return headers


def _attribute(headers: Mapping[str, bytes | None], name: str) -> str:
    try:
        raw = headers[name]
        # A header may also be null, which is no text either.
        text = b"\xff".decode() if raw is None else raw.decode()
    except KeyError:
        raise _missing(headers, name) from None
    except UnicodeDecodeError:
        raise Undecodable(Defect.INVALID_HEADER, f"headers.{name}", "The header is not text in UTF-8.") from None
    if not 0 < len(text) <= MAX_ATTRIBUTE_CHARS or "\0" in text:
        reason = f"The header must have 1 to {MAX_ATTRIBUTE_CHARS} characters, none of them U+0000."
        raise Undecodable(Defect.INVALID_HEADER, f"headers.{name}", reason)
    return text


def _missing(headers: Mapping[str, bytes | None], name: str) -> Undecodable:
    if any(header.startswith("ce_") for header in headers):
        return Undecodable(Defect.MISSING_HEADER, f"headers.{name}", "The header is missing; binary mode needs it.")
    reason = f"There are no ce_… headers, and the content type is not {_STRUCTURED.decode()}."
    return Undecodable(Defect.NOT_CLOUDEVENTS, "headers", reason)
