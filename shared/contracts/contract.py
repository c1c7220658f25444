"""How the messages of one kind of inbound event are read: in either mode, with a digest of what they say."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any, Generic, TypeVar, cast

import orjson
from pydantic import TypeAdapter, ValidationError

from shared.contracts.defect import Defect, Undecodable
from shared.contracts.headers import Headers, by_name, check_size, is_structured, ref_of
from shared.contracts.nul import check_for_nul
from shared.contracts.refusal import refusal_of_data, refusal_of_event
from shared.contracts.repeated_keys import LeftOut, check_for_repeated_keys, has_fewest_colons, is_shortest
from shared.domain.facts import EventRef, Fact
from shared.domain.time import Instant, instant_of

DIGEST_BYTES = 16

D = TypeVar("D", bound=Mapping[str, Any])


@dataclass(slots=True)
class Decoded:
    """An event that keeps its contract.

    `digest` is one of all fields of its data that the contract knows: the same for either mode, any spacing, escaping
    and order of keys, and with an optional field left out or sent as its default. The same source and id with another
    digest is another event under a used name.
    """

    ref: EventRef
    digest: bytes
    fact: Fact


class Contract(Generic[D]):
    """A version of a contract: `name` is like `order-paid.v1`, `event` the TypedDict of the whole event, `data` that of
    its data. `left_out` says what of some data may have been left out of its message; `fact_of` turns data that are
    valid into what the core decides on, and may still refuse them with `Undecodable`. For the fields in `null_is_none`,
    which have no default, null is as good as leaving them out."""

    def __init__(
        self,
        name: str,
        event: Any,
        data: Any,
        *,
        left_out: Callable[[D], LeftOut],
        fact_of: Callable[[D], Fact],
        null_is_none: Sequence[str] = (),
    ) -> None:
        self.name = name
        self.topic = name.rpartition(".")[0]
        self.type = f"pointstream.{name}"
        self.data = data
        self._read_event = TypeAdapter(event).validator.validate_json
        self._read_data = TypeAdapter(data).validator.validate_json
        self._digest_prefix = name.encode() + b"\0"
        self._left_out = left_out
        self._fact_of = fact_of
        self._null_is_none = null_is_none

    def decode(self, value: bytes | None, headers: Headers) -> Decoded:
        """The event in a Kafka message, in structured or binary mode. Raises `Undecodable`, and nothing else."""
        value = check_size(value)
        named = by_name(headers)
        structured = is_structured(named)
        if structured:
            ref, data = self._structured(value)
        else:
            ref = ref_of(named, self.type)
            data = self._binary(value, ref)
        for name in self._null_is_none:
            if name in data and data[name] is None:
                del cast("dict[str, Any]", data)[name]  # so that both have one digest
        try:
            # Escaped is the only form in which JSON may hold it. To look for a backslash first is twice as fast.
            if b"\\" in value and b"\\u0000" in value:
                check_for_nul({"id": ref.event_id, "source": ref.source, "data": data})
            canonical = orjson.dumps(data)
            self._check_for_repeated_keys(value, canonical, data, ref if structured else None)
            return Decoded(ref, self._digest_of(canonical), self._fact_of(data))
        except Undecodable as error:
            raise error.in_event(ref.event_id, ref.source) from None

    def _binary(self, value: bytes, ref: EventRef) -> D:
        try:
            return cast("D", self._read_data(value))
        except ValidationError as error:
            raise refusal_of_data(error, value).in_event(ref.event_id, ref.source) from None

    def _structured(self, value: bytes) -> tuple[EventRef, D]:
        try:
            event = self._read_event(value)
        except ValidationError as error:
            raise refusal_of_event(error, value) from None
        return EventRef(event["source"], event["id"], self.type), event["data"]

    def _check_for_repeated_keys(self, value: bytes, canonical: bytes, data: D, envelope: EventRef | None) -> None:
        """To read a message a second time is slow, and mostly its length alone tells that it has no key twice."""
        left_out = self._left_out(data)
        if envelope is None:
            if is_shortest(value, canonical, left_out) or has_fewest_colons(value, canonical, left_out, None):
                return
            check_for_repeated_keys(value, ("data",))
        elif not has_fewest_colons(value, canonical, left_out, envelope.event_id + envelope.source):
            check_for_repeated_keys(value, ())

    def _digest_of(self, canonical: bytes) -> bytes:
        """The data as JSON, its fields in the contract's order, so that equal fields are equal bytes. No event of
        another type has the same digest.

        A digest is kept for good. A field that a version gets later must be one without a default, so that events
        without it keep the digest that they have.
        """
        return sha256(self._digest_prefix + canonical).digest()[:DIGEST_BYTES]


def instant_in(text: str, path: str) -> Instant:
    """The instant of a timestamp whose form is right. Raises `Undecodable` where there is no such day or hour."""
    try:
        return instant_of(datetime.fromisoformat(text))
    except ValueError as error:
        reason = f"There is no such instant: {error}."
        raise Undecodable(Defect.INVALID_FIELD, path, reason) from None
