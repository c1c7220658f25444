"""Inbound: `order-paid` v1. An order was paid, and may earn points.

The contract stands here once: the reader validates by it, and its JSON Schema is made from it.
"""

from typing import Annotated, Literal, NotRequired, cast

from pydantic import Field, with_config
from typing_extensions import TypedDict

from shared.contracts import cloudevents
from shared.contracts.contract import Contract, instant_in
from shared.contracts.fields import ID, MAX_LINES, MAX_QUANTITY, Amount, Name, Timestamp
from shared.contracts.money import exponent_of
from shared.contracts.repeated_keys import LeftOut
from shared.contracts.sums import check_sums
from shared.domain.facts import Order, OrderLine
from shared.domain.ids import LineId, MemberId, OrderId


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


def _left_out(data: OrderPaidData) -> LeftOut:
    """How many members may have been left out, and how many characters they have with a comma each."""
    members = chars = 0
    for line in data["lines"]:
        if line["category"] is None:
            members += 1
            chars += _CATEGORY
        if line["brand"] is None:
            members += 1
            chars += _BRAND
        if line["paid_in_points"] == 0:
            members += 1
            chars += _PAID_IN_POINTS
    if data["shipping"] == 0:
        members += 1
        chars += _SHIPPING
    if data["channel"] is None:
        members += 1
        chars += _CHANNEL
    if data["store"] is None:
        members += 1
        chars += _STORE
    return members, chars


_CATEGORY = len('"category":null,')
_BRAND = len('"brand":null,')
_PAID_IN_POINTS = len('"paid_in_points":0,')
_SHIPPING = len('"shipping":0,')
_CHANNEL = len('"channel":null,')
_STORE = len('"store":null,')


def _order_of(data: OrderPaidData) -> Order:
    """The order as the domain knows it. Positional arguments: keywords would double what the call costs."""
    order = Order(
        data["order_id"],
        data["member_id"],
        data["currency"],
        exponent_of(data["currency"]),
        data["paid"],
        data["shipping"],
        data["channel"],
        data["store"],
        instant_in(data["occurred_at"], "data.occurred_at"),
        # Validation has filled in what may be left out, so these are the domain's lines already.
        cast("list[OrderLine]", data["lines"]),
        data.get("payment_method"),
    )
    check_sums(order)
    return order


CONTRACT = Contract(
    "order-paid.v1",
    OrderPaidEvent,
    OrderPaidData,
    left_out=_left_out,
    fact_of=_order_of,
    null_is_none=["payment_method"],
)
TYPE = CONTRACT.type
decode = CONTRACT.decode
