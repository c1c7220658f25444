"""A paid order out of data that keep the contract of `order-paid`. It is done for every order, so it is compiled."""

from typing import TYPE_CHECKING, Final, cast

from shared.contracts.contract import instant_in
from shared.contracts.money import exponent_of
from shared.contracts.repeated_keys import LeftOut
from shared.contracts.sums import check_sums
from shared.domain.facts import Order, OrderLine

if TYPE_CHECKING:
    from shared.contracts.order_paid import OrderPaidData

_CATEGORY: Final = len('"category":null,')
_BRAND: Final = len('"brand":null,')
_PAID_IN_POINTS: Final = len('"paid_in_points":0,')
_SHIPPING: Final = len('"shipping":0,')
_CHANNEL: Final = len('"channel":null,')
_STORE: Final = len('"store":null,')


def left_out(data: "OrderPaidData") -> LeftOut:
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


def order_of(data: "OrderPaidData") -> Order:
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
