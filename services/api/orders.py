"""Orders: what one earned and why, and what one would earn."""

from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response
from pydantic import TypeAdapter

from services.api.connecting import Ledger
from services.api.members import JSON, utf8_or_refused
from services.api.order_examples import POINTS_RESPONSES, PREVIEW_ORDER, PREVIEW_RESPONSES
from services.api.problems import ProblemError, ProblemType, invalid_request
from shared.contracts import order_paid
from shared.contracts.defect import Undecodable
from shared.contracts.fields import MAX_MESSAGE_BYTES, MAX_NAME_CHARS, NO_NUL
from shared.domain.ids import MemberId, OrderId
from shared.reads.explain import explain_order
from shared.reads.preview import preview_order

_NAME = {"min_length": 1, "max_length": MAX_NAME_CHARS, "pattern": NO_NUL}

router = APIRouter(prefix="/v1", tags=["orders"])


@router.get("/orders/{order_id:member_id}/points", response_class=Response, responses=POINTS_RESPONSES)
async def read_order_points(
    request: Request,
    order_id: Annotated[
        str, Path(**_NAME, description="The order's id as the events give it, percent-encoded.", examples=["A-7731"])
    ],
    member_id: Annotated[
        str,
        Query(**_NAME, description="Whose order it is: order ids are unique for a member.", examples=["M-1001"]),
    ],
) -> Response:
    """What an order earned, by line and by rule; what was taken back; and why other rules gave nothing."""
    ledger: Ledger = request.app.state.ledger
    order = OrderId(utf8_or_refused(request, order_id, "path.order_id"))
    document = await explain_order(ledger.reader, MemberId(member_id), order)
    if document is None:
        raise ProblemError(
            ProblemType.ORDER_NOT_FOUND,
            f"No order {order_id!r} of member {member_id!r} was accepted, and no refund of it is known.",
        )
    return Response(orjson.dumps(document), media_type=JSON)


_BODY = TypeAdapter(order_paid.OrderPaidData).json_schema(ref_template="#/components/schemas/{model}")


def body_schemas() -> dict[str, Any]:
    """The schemas to which that of a preview's body refers: FastAPI does not know of them."""
    return dict(_BODY["$defs"])


_BODY_EXTRA = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {name: value for name, value in _BODY.items() if name != "$defs"},
                "example": PREVIEW_ORDER,
            }
        },
    }
}


@router.post("/preview/order", response_class=Response, responses=PREVIEW_RESPONSES, openapi_extra=_BODY_EXTRA)
async def preview(request: Request) -> Response:
    """What an order would earn if it were paid now. Nothing is written.

    The body is the data of an order-paid event, and is held to the same contract. The member need not be known.
    """
    ledger: Ledger = request.app.state.ledger
    try:
        document = await preview_order(ledger.reader, await _limited(request))
    except Undecodable as error:
        path = error.path.removeprefix("data").removeprefix(".").removeprefix("value")
        raise invalid_request(f"body.{path}" if path else "body", error.reason) from None
    return Response(orjson.dumps(document), media_type=JSON)


async def _limited(request: Request) -> bytes:
    """The body, or as much of it as shows that it is too large."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_MESSAGE_BYTES:
            break
    return bytes(body)
