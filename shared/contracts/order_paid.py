"""Inbound: `order-paid` v1. An order was paid, and may earn points.

The contract stands here once: the reader validates by it, and its JSON Schema is made from it.
"""

from typing import Annotated, Literal, NotRequired

from pydantic import Field, with_config
from typing_extensions import TypedDict

from shared.contracts import cloudevents
from shared.contracts.contract import Contract
from shared.contracts.fields import ID, MAX_LINES, MAX_QUANTITY, Amount, Name, Timestamp
from shared.contracts.paid_order import left_out, order_of
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


CONTRACT = Contract(
    "order-paid.v1",
    OrderPaidEvent,
    OrderPaidData,
    left_out=left_out,
    fact_of=order_of,
    null_is_none=["payment_method"],
)
TYPE = CONTRACT.type
decode = CONTRACT.decode
