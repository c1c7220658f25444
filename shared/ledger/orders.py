"""Orders and refunds as the ledger keeps them: what was frozen at an order's rating, and what was given back of it."""

from typing import Any

import orjson

from shared.domain.facts import GivenBack, Refund, RefundReason
from shared.domain.ids import MemberId, OrderId
from shared.domain.model import KnownOrder, RatedOrder
from shared.ledger.database import Record


def dump_lines(rated: RatedOrder) -> bytes:
    """What a refund needs of an order, by column: a list for each field of its lines, one for each rule's points. And
    what else its program asked about, to explain it."""
    lines = {
        "line_id": rated.line_ids,
        "category": rated.categories,
        "quantity": rated.quantities,
        "paid": rated.paid_by_line,
        "base": rated.bases,
        "points": rated.points,
        "lots": rated.lots,
    }
    if rated.trimmed:
        lines["trimmed"] = rated.trimmed
    if rated.counted:
        lines["counted"] = rated.counted
    if rated.circumstances is not None:
        lines["asked"] = rated.circumstances
    return orjson.dumps(lines)


def dump_refund(refund: Refund) -> bytes:
    """A refund as its event told it."""
    return orjson.dumps(
        {
            "refund_id": refund.refund_id,
            "currency": refund.currency,
            "reason": refund.reason,
            "full": refund.full,
            "lines": [[given.line_id, given.quantity, given.amount] for given in refund.lines],
            "amount": refund.amount,
            "shipping": refund.shipping,
            "occurred_at": refund.occurred_at,
        }
    )


def known_order(row: Record) -> KnownOrder:
    """An order and its refunds out of a row of LOAD_ORDERS."""
    member_id, order_id = row["member_id"], row["order_id"]
    refunds = [] if row["refunds"] is None else orjson.loads(row["refunds"])
    return KnownOrder(
        rated_order(row) if row["paid"] else None,
        tuple([refund_of(parts, member_id, order_id) for parts in refunds]),
    )


def rated_order(row: Record) -> RatedOrder:
    """The order as it was rated. Without its lines where nobody asked for them: whoever only wants to know that it was
    paid needs none."""
    lines: dict[str, Any] = {} if row["lines"] is None else orjson.loads(row["lines"])
    return RatedOrder(
        order_id=row["order_id"],
        member_id=row["member_id"],
        occurred_at=row["occurred_at"],
        currency=row["currency"],
        paid=row["amount_paid"],
        program_version=row["program_version"],
        line_ids=lines.get("line_id", ()),
        categories=lines.get("category", ()),
        quantities=lines.get("quantity", ()),
        paid_by_line=lines.get("paid", ()),
        bases=lines.get("base", ()),
        points=lines.get("points", {}),
        trimmed=lines.get("trimmed", {}),
        counted=lines.get("counted", {}),
        lots=tuple(lines.get("lots", ())),
        circumstances=lines.get("asked"),
    )


def refund_of(parts: dict[str, Any], member_id: MemberId, order_id: OrderId) -> Refund:
    """A refund out of its `parts`, as `dump_refund` wrote them."""
    return Refund(
        refund_id=parts["refund_id"],
        order_id=order_id,
        member_id=member_id,
        currency=parts["currency"],
        reason=RefundReason(parts["reason"]),
        full=parts["full"],
        lines=tuple([GivenBack(*given) for given in parts["lines"]]),
        amount=parts["amount"],
        shipping=parts["shipping"],
        occurred_at=parts["occurred_at"],
    )
