"""CloudEvents 1.0 in Kafka messages: both of its modes are read, the binary one is written.

Structured mode: the value is the whole event as JSON, `content-type: application/cloudevents+json`. A value with
`specversion` in a message without any content type is taken as one too.
Binary mode: the attributes are headers (`ce_id`, `ce_source`, …), the value is the data alone.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

from pydantic import ConfigDict, with_config
from typing_extensions import NotRequired, TypedDict

from shared.contracts import json_text
from shared.contracts.defect import Defect, Undecodable
from shared.contracts.fields import ATTRIBUTE, MAX_MESSAGE_BYTES, Timestamp
from shared.domain.ids import EventId, EventSource

Headers = Sequence[tuple[str, bytes]]
"""A message's headers, as aiokafka gives and takes them."""

SPEC_VERSION: Literal["1.0"] = "1.0"

STRICT = ConfigDict(strict=True, use_attribute_docstrings=True)
"""Nothing is converted on the way in: "1" is no number and True is no 1. Unknown fields are passed over."""

HEADER_PREFIX = "ce_"
_CONTENT_TYPE = "content-type"
_STRUCTURED = b"application/cloudevents+json"
_JSON = b"application/json"
_SPEC_VERSION_HEADER = "ce_specversion"
_ENCODED_SPEC_VERSION = (_SPEC_VERSION_HEADER, SPEC_VERSION.encode())
_ENCODED_CONTENT_TYPE = (_CONTENT_TYPE, _JSON)


@with_config(STRICT)
class Attributes(TypedDict):
    """What every CloudEvent says about itself. Other attributes and extensions are passed over."""

    specversion: Literal["1.0"]
    """The version of CloudEvents."""
    id: Annotated[EventId, ATTRIBUTE]
    """Unique within the source. The same source and id again is the same event, and counts once."""
    source: Annotated[EventSource, ATTRIBUTE]
    """Who sent it, as a URI reference: `/shop/online`."""
    time: NotRequired[Timestamp | None]
    """When the event was written. It decides nothing: an event's own instant is in its data."""
    subject: NotRequired[str | None]
    """What the event is about. It decides nothing."""
    partitionkey: NotRequired[str | None]
    """The Kafka message's key: the member id, so that a member's events keep their order."""


def read(value: bytes | None, headers: Headers) -> tuple[dict[str, object], bytes]:
    """The event in a message: its attributes by name, with the parsed `data` among them, and the data's canonical
    text (equal for both modes and for any spacing, escaping and order of keys).

    Nothing is known of the attributes yet but that they are there to be validated. Raises `Undecodable`.
    """
    if not value:
        raise Undecodable(Defect.EMPTY, "value", "The message has no value; an event needs one.")
    if len(value) > MAX_MESSAGE_BYTES:
        reason = f"The value has {len(value)} bytes; the limit is {MAX_MESSAGE_BYTES}."
        raise Undecodable(Defect.TOO_LARGE, "value", reason)
    found = dict(headers)
    if len(found) != len(headers):
        _check_for_repeats(headers)
    if is_structured(found):
        return _read_structured(value)
    return _read_binary(value, found)


def is_structured(headers: Mapping[str, bytes]) -> bool:
    """Which mode the message is in: True for structured, False for binary."""
    content_type = headers.get(_CONTENT_TYPE)
    if content_type is None:
        return _SPEC_VERSION_HEADER not in headers
    media_type = content_type
    if media_type not in (_JSON, _STRUCTURED):
        media_type = content_type.partition(b";")[0].strip().lower()
    if media_type == _JSON:
        return False
    if media_type == _STRUCTURED:
        return True
    reason = f"The content type must be {_JSON.decode()} (binary mode) or {_STRUCTURED.decode()} (structured mode)."
    raise Undecodable(Defect.NOT_CLOUDEVENTS, f"headers.{_CONTENT_TYPE}", reason)


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
        _ENCODED_SPEC_VERSION,
        ("ce_id", event_id.encode()),
        ("ce_source", source.encode()),
        ("ce_type", event_type.encode()),
        ("ce_time", time.encode()),
    ]
    if subject is not None:
        headers.append(("ce_subject", subject.encode()))
    if partition_key is not None:
        headers.append(("ce_partitionkey", partition_key.encode()))
    headers.append(_ENCODED_CONTENT_TYPE)
    return headers


def _read_structured(value: bytes) -> tuple[dict[str, object], bytes]:
    event = json_text.parse(value)
    if not isinstance(event, dict) or "specversion" not in event:
        reason = "The value is no CloudEvent: send an object with `specversion`, or the headers of the binary mode."
        raise Undecodable(Defect.NOT_CLOUDEVENTS, "value", reason)
    try:
        json_text.check(value, json_text.canonical(event))
    except Undecodable as error:
        raise error.in_event(event) from None
    return event, json_text.canonical(event.get("data"))


def _read_binary(value: bytes, headers: Mapping[str, bytes]) -> tuple[dict[str, object], bytes]:
    try:
        attributes: dict[str, object] = {
            name[3:]: raw.decode() for name, raw in headers.items() if name[:3] == HEADER_PREFIX
        }
    except (UnicodeDecodeError, AttributeError):
        raise _header_that_is_no_text(headers) from None
    if not attributes:
        reason = f"There are no {HEADER_PREFIX}… headers, and the content type is not {_STRUCTURED.decode()}."
        raise Undecodable(Defect.NOT_CLOUDEVENTS, "headers", reason)
    try:
        data = json_text.parse(value)
        text = json_text.canonical(data)
        json_text.check(value, text, ("data",))
    except Undecodable as error:
        raise error.in_event(attributes) from None
    attributes["data"] = data
    return attributes, text


def _check_for_repeats(headers: Headers) -> None:
    """A header that we read must be there once; what others do with theirs is not our business."""
    times = Counter(name for name, _ in headers if name == _CONTENT_TYPE or name.startswith(HEADER_PREFIX))
    for name, count in times.items():
        if count > 1:
            reason = f"The header is there {count} times; send it once."
            raise Undecodable(Defect.INVALID_HEADER, f"headers.{name}", reason)


def _header_that_is_no_text(headers: Mapping[str, bytes | None]) -> Undecodable:
    for name, raw in headers.items():
        if name.startswith(HEADER_PREFIX) and not _is_utf8(raw):
            return Undecodable(Defect.INVALID_HEADER, f"headers.{name}", "The header is not text in UTF-8.")
    raise AssertionError("called for a header that is no text")  # pragma: no cover


def _is_utf8(raw: bytes | None) -> bool:
    try:
        return raw is not None and raw.decode() is not None
    except UnicodeDecodeError:
        return False
