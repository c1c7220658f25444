"""Inbound: `refund` v1. Something of an order was given back: money, goods, or all of it.

An order that was cancelled, a chargeback and an exchange of items are refunds too, with their reason. A refund may come
before its order, and several may come in any order.
"""

from typing import Annotated, Literal, NotRequired

from pydantic import Field, with_config
from typing_extensions import TypedDict

from shared.contracts import cloudevents
from shared.contracts.contract import Contract, instant_in
from shared.contracts.defect import Defect, Undecodable
from shared.contracts.fields import ID, MAX_LINES, MAX_QUANTITY, Amount, Timestamp
from shared.contracts.money import exponent_of
from shared.contracts.repeated_keys import left_out_of
from shared.domain.facts import GivenBack, Refund, RefundReason
from shared.domain.ids import LineId, MemberId, OrderId, RefundId

Reason = Literal["return", "cancelled", "chargeback", "exchange", "other"]


@with_config(cloudevents.STRICT)
class RefundLineData(TypedDict):
    """What was given back of one line: either so many pieces, or so much money."""

    line_id: Annotated[LineId, ID]
    """The line of the order."""
    quantity: NotRequired[Annotated[int, Field(ge=1, le=MAX_QUANTITY)]]
    """How many of the line's pieces: each stands for its part of what the line was paid with."""
    amount: NotRequired[Amount]
    """Minor units given back for the line, with tax."""


@with_config(cloudevents.STRICT)
class RefundData(TypedDict):
    """A refund. Amounts are integers in minor units of its order's currency.

    It says what this refund gives back, not what all of them do. Its parts add up: lines, an amount for the order as a
    whole, and shipping; or everything that is left. Unknown fields are passed over.
    """

    refund_id: Annotated[RefundId, ID]
    """Unique for the order. A refund counts once, whatever events tell of it."""
    order_id: Annotated[OrderId, ID]
    """The order that was paid."""
    member_id: Annotated[MemberId, ID]
    """Whose order it was."""
    currency: Annotated[str, Field(json_schema_extra={"pattern": "^[A-Z]{3}$"})]
    """The order's currency."""
    reason: NotRequired[Annotated[Reason, Field(default="return")]]
    """Why. It changes nothing about the points."""
    full: NotRequired[Annotated[bool, Field(default=False)]]
    """Everything of the order that is left is given back."""
    lines: NotRequired[Annotated[list[RefundLineData], Field(default=[], max_length=MAX_LINES)]]
    """What is given back of which lines."""
    amount: NotRequired[Annotated[Amount, Field(default=0)]]
    """Minor units given back for the order as a whole: they count towards each line by what is left of it."""
    shipping: NotRequired[Annotated[Amount, Field(default=0)]]
    """Minor units of shipping given back. They take no points back."""
    occurred_at: Timestamp
    """When it was refunded, with an offset. Digits after the microseconds are cut off."""


@with_config(cloudevents.STRICT)
class RefundEvent(cloudevents.Attributes):
    """The whole event, in either mode."""

    type: Literal["pointstream.refund.v1"]
    """What happened."""
    data: RefundData
    """The refund."""


def _refund_of(data: RefundData) -> Refund:
    exponent_of(data["currency"])
    lines = [_given_back(line, index) for index, line in enumerate(data["lines"])]
    if not (data["full"] or lines or data["amount"] or data["shipping"]):
        reason = "The refund gives nothing back; give lines, an amount, shipping, or full."
        raise Undecodable(Defect.INVALID_FIELD, "data", reason)
    return Refund(
        refund_id=data["refund_id"],
        order_id=data["order_id"],
        member_id=data["member_id"],
        currency=data["currency"],
        reason=RefundReason(data["reason"]),
        full=data["full"],
        lines=tuple(lines),
        amount=data["amount"],
        shipping=data["shipping"],
        occurred_at=instant_in(data["occurred_at"], "data.occurred_at"),
    )


def _given_back(line: RefundLineData, index: int) -> GivenBack:
    quantity, amount = line.get("quantity", 0), line.get("amount", 0)
    if ("quantity" in line) == ("amount" in line):
        reason = "A line has either a quantity or an amount, and not both."
        raise Undecodable(Defect.INVALID_FIELD, f"data.lines[{index}]", reason)
    return GivenBack(line["line_id"], quantity, amount)


_DEFAULTS = {"reason": "return", "full": False, "lines": [], "amount": 0, "shipping": 0}

CONTRACT = Contract("refund.v1", RefundEvent, RefundData, left_out=left_out_of(_DEFAULTS), fact_of=_refund_of)
TYPE = CONTRACT.type
