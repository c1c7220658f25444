"""Inbound: `order-paid` v1. An order was paid, and may earn points.

The contract stands here once: the reader validates by it, and its JSON Schema is made from it.
"""

from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Annotated, Final, Literal, NotRequired, cast

import orjson
from pydantic import Field, TypeAdapter, ValidationError, with_config
from typing_extensions import TypedDict

from shared.contracts import cloudevents
from shared.contracts.defect import Defect, Undecodable
from shared.contracts.fields import ID, MAX_LINES, MAX_QUANTITY, Amount, Name, Timestamp
from shared.contracts.money import EXPONENTS
from shared.contracts.nul import check_for_nul
from shared.contracts.refusal import refusal_of_data, refusal_of_event
from shared.contracts.repeated_keys import check_for_repeated_keys, has_fewest_colons, is_shortest
from shared.contracts.sums import check_sums
from shared.domain.ids import LineId, MemberId, OrderId
from shared.domain.model import EventRef, Order, OrderLine
from shared.domain.time import Instant, instant_of

TYPE: Final = "pointstream.order-paid.v1"
"""The CloudEvents type."""

DIGEST_BYTES = 16
_DIGEST_PREFIX = b"order-paid.v1\0"


@with_config(cloudevents.STRICT)
class LineData(TypedDict):
    """One line of an order. Amounts are for the whole line, not for one piece.

    For every line: list_price − discount + tax − paid_in_points = paid.
    """

    line_id: Annotated[LineId, ID]
    """Unique within the order. Refunds will name it."""
    sku: Annotated[str, ID]
    """What was bought."""
    category: NotRequired[Annotated[Name | None, Field(default=None)]]
    """What kind of thing it is, in the shop's words."""
    brand: NotRequired[Annotated[Name | None, Field(default=None)]]
    """Its brand, in the shop's words."""
    quantity: Annotated[int, Field(ge=0, le=MAX_QUANTITY)]
    """How many pieces, as a count: rules may give points for each. Goods sold by weight or volume are 1 piece; 0 is
    for lines without goods, such as a fee."""
    list_price: Amount
    """Minor units, before discounts and without tax."""
    discount: Amount
    """Minor units by which the line is cheaper than its list price, without tax. Never negative."""
    tax: Amount
    """Minor units of tax contained in what is due for the line. Prices that include tax are sent net, with it here."""
    paid: Amount
    """Minor units paid in money for the line: after discounts, with its tax, without what was paid in points."""
    paid_in_points: NotRequired[Annotated[Amount, Field(default=0)]]
    """Minor units of what is due for the line that points paid for."""


@with_config(cloudevents.STRICT)
class OrderPaidData(TypedDict):
    """A paid order. Amounts are integers in minor units of its currency.

    The paid amounts of all lines and the shipping add up to paid. Line ids are unique. Unknown fields are passed over.
    """

    order_id: Annotated[OrderId, ID]
    """Unique for the member. An order earns once, whatever events tell of it."""
    member_id: Annotated[MemberId, ID]
    """Whose account it counts for."""
    currency: Annotated[str, Field(json_schema_extra={"pattern": "^[A-Z]{3}$"})]
    """An ISO 4217 code in use, of a currency with a minor unit."""
    paid: Amount
    """Minor units paid in money for the whole order, with tax and shipping."""
    lines: Annotated[list[LineData], Field(min_length=1, max_length=MAX_LINES)]
    """What was bought."""
    shipping: NotRequired[Annotated[Amount, Field(default=0)]]
    """Minor units paid in money for shipping and handling, with their tax. They earn nothing."""
    channel: NotRequired[Annotated[Name | None, Field(default=None)]]
    """Where it was ordered, in the shop's words: `app`, `web`, `store`."""
    store: NotRequired[Annotated[Name | None, Field(default=None)]]
    """Which shop it was, in the shop's words."""
    payment_method: NotRequired[Name | None]
    """How it was paid, in the shop's words: `card`, `wallet`, `invoice`. Null is as good as leaving it out."""
    occurred_at: Timestamp
    """When it was paid, with an offset. Digits after the microseconds are cut off."""


@with_config(cloudevents.STRICT)
class OrderPaidEvent(cloudevents.Attributes):
    """The whole event, in either mode."""

    type: Literal["pointstream.order-paid.v1"]
    """What happened."""
    data: OrderPaidData
    """The order."""


@dataclass(slots=True)
class DecodedOrder:
    """An order-paid event that keeps the contract.

    `digest` is one of all fields of its data that the contract knows: the same for either mode, any spacing, escaping
    and order of keys, and with an optional field left out or sent as its default. The same source and id with another
    digest is another event under a used name.
    """

    ref: EventRef
    digest: bytes
    order: Order


_read_data = TypeAdapter(OrderPaidData).validator.validate_json
_read_event = TypeAdapter(OrderPaidEvent).validator.validate_json


def decode(value: bytes | None, headers: cloudevents.Headers) -> DecodedOrder:
    """The order in a Kafka message, in structured or binary mode. Raises `Undecodable`, and nothing else."""
    value = cloudevents.check_size(value)
    named = cloudevents.by_name(headers)
    structured = cloudevents.is_structured(named)
    if structured:
        ref, data = _structured(value)
    else:
        ref = cloudevents.ref_of(named, TYPE)
        data = _binary(value, ref)
    if "payment_method" in data and data["payment_method"] is None:
        del data["payment_method"]  # so that both have one digest
    try:
        # Escaped is the only form in which JSON may hold it. To look for a backslash first is twice as fast.
        if b"\\" in value and b"\\u0000" in value:
            check_for_nul({"id": ref.event_id, "source": ref.source, "data": data})
        canonical = orjson.dumps(data)
        if structured or not is_shortest(value, canonical, data):
            envelope = ref.event_id + ref.source if structured else None
            if not has_fewest_colons(value, canonical, data, envelope):
                check_for_repeated_keys(value, () if structured else ("data",))
        return DecodedOrder(ref, _digest_of(canonical), _order_of(data))
    except Undecodable as error:
        raise error.in_event(ref.event_id, ref.source) from None


def _binary(value: bytes, ref: EventRef) -> OrderPaidData:
    try:
        data: OrderPaidData = _read_data(value)
    except ValidationError as error:
        raise refusal_of_data(error, value).in_event(ref.event_id, ref.source) from None
    return data


def _structured(value: bytes) -> tuple[EventRef, OrderPaidData]:
    try:
        event: OrderPaidEvent = _read_event(value)
    except ValidationError as error:
        raise refusal_of_event(error, value) from None
    return EventRef(event["source"], event["id"], TYPE), event["data"]


def _digest_of(canonical: bytes) -> bytes:
    """The data as JSON, its fields in the contract's order, so that equal fields are equal bytes. No event of another
    type has the same digest.

    A digest is kept for good. A field that v1 gets later must be one without a default, so that orders without it
    keep the digest that they have.
    """
    return sha256(_DIGEST_PREFIX + canonical).digest()[:DIGEST_BYTES]


def _order_of(data: OrderPaidData) -> Order:
    """The order as the domain knows it. Positional arguments: keywords would double what the call costs."""
    exponent = EXPONENTS.get(data["currency"])
    if exponent is None:
        reason = "The currency must be an ISO 4217 code in use, of a currency with a minor unit."
        raise Undecodable(Defect.INVALID_FIELD, "data.currency", reason)
    order = Order(
        data["order_id"],
        data["member_id"],
        data["currency"],
        exponent,
        data["paid"],
        data["shipping"],
        data["channel"],
        data["store"],
        _instant_of(data["occurred_at"]),
        # Validation has filled in what may be left out, so these are the domain's lines already.
        cast("list[OrderLine]", data["lines"]),
        data.get("payment_method"),
    )
    check_sums(order)
    return order


def _instant_of(text: str) -> Instant:
    try:
        return instant_of(datetime.fromisoformat(text))
    except ValueError as error:
        reason = f"There is no such instant: {error}."
        raise Undecodable(Defect.INVALID_FIELD, "data.occurred_at", reason) from None
