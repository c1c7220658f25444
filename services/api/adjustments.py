"""Adjusting a member's points, and deciding what others proposed. For operators with a token."""

from typing import Annotated, Literal

import orjson
from fastapi import APIRouter, Depends, Header, Path, Query, Request
from fastapi.responses import Response
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from services.api.adjustment_examples import ADJUST_RESPONSES, KEPT, LIST_RESPONSES, RULE_RESPONSES
from services.api.members import JSON, MemberIdInPath, member_id_of
from services.api.operators import Authenticated, Desks
from services.api.problems import ProblemError, ProblemType, invalid_request
from shared.contracts.adjustment import Reason
from shared.contracts.contract import instant_in
from shared.contracts.defect import Undecodable
from shared.contracts.fields import ATTRIBUTE, ID, NO_NUL, Timestamp
from shared.contracts.repeated_keys import check_for_repeated_keys
from shared.domain.ids import AdjustmentId, EventId, EventSource, MemberId, Wallet
from shared.domain.model import BALANCE_LIMIT, Outcome
from shared.domain.time import Instant
from shared.ledger.desk import InvalidWishError, Standing
from shared.ledger.proposals import AlreadyError, NotAllowedError, ProposalError, UnknownProposalError, Verdict, Wish
from shared.operators import Operator
from shared.reads.adjustments import ID_PATTERN, outcome_in_words, standing_document

LIST_MAX = 200
"""Some 100 KB."""

router = APIRouter(tags=["adjustments"])


def _no_nul(text: str) -> str:
    if "\0" in text or not text.strip():
        raise ValueError("say something, without U+0000")
    return text


class ReversesIn(BaseModel):
    """An event whose penalty, or whose taking of points by an operator, is to be reversed."""

    model_config = ConfigDict(strict=True, extra="forbid", use_attribute_docstrings=True)

    source: Annotated[str, ATTRIBUTE, AfterValidator(_no_nul)]
    id: Annotated[str, ATTRIBUTE, AfterValidator(_no_nul)]


class AdjustmentIn(BaseModel):
    """Points to give, or with a minus to take; or an event to reverse, in their place."""

    model_config = ConfigDict(strict=True, extra="forbid", use_attribute_docstrings=True)

    wallet: Annotated[str, ID, AfterValidator(_no_nul)] | None = None
    """A wallet of the program."""
    points: Annotated[int, Field(ge=-BALANCE_LIMIT, le=BALANCE_LIMIT, json_schema_extra={"format": "int64"})] | None = (
        None
    )
    """How many; not 0."""
    reverses: ReversesIn | None = None
    """What this event took comes back."""
    reason: Annotated[Reason, Field(json_schema_extra={"pattern": NO_NUL}), AfterValidator(_no_nul)]
    """Why. It is kept."""
    expires_at: Timestamp | None = None
    """When given points end; as the wallet's points do unless it is there."""


def _wish(member_id: MemberId, key: str, body: AdjustmentIn) -> Wish:
    """What somebody asks for. Raises the problem of a body that says too little or too much."""
    name, expires_at = AdjustmentId(key), _instant(body.expires_at)
    if body.reverses is not None:
        for field in ("wallet", "points", "expires_at"):
            if getattr(body, field) is not None:
                raise invalid_request(f"body.{field}", "The event that is reversed says that; leave it out.")
        reverses = EventSource(body.reverses.source), EventId(body.reverses.id)
        return Wish(name, member_id, None, 0, body.reason, None, reverses)
    if body.wallet is None or body.points is None:
        missing = "wallet" if body.wallet is None else "points"
        raise invalid_request(f"body.{missing}", "Field required, unless `reverses` names an event.")
    return Wish(name, member_id, Wallet(body.wallet), body.points, body.reason, expires_at)


class RulingIn(BaseModel):
    """Why a proposal is approved or rejected."""

    model_config = ConfigDict(strict=True, extra="forbid", use_attribute_docstrings=True)

    why: Annotated[Reason, Field(json_schema_extra={"pattern": NO_NUL}), AfterValidator(_no_nul)]
    """It is kept."""


async def _check_keys(request: Request, operator: Authenticated) -> None:
    """Refuse a body of an operator in which an object has a key twice, as messages with one are (docs/adr/0010)."""
    try:
        check_for_repeated_keys(await request.body(), ("body",))
    except Undecodable as error:
        raise invalid_request(error.path.encode(errors="replace").decode(), error.reason) from None
    except (ValueError, RecursionError):
        return  # whoever reads it next says what is wrong with it


_KEYS_ONCE = [Depends(_check_keys)]

IdempotencyKey = Annotated[
    str,
    Header(
        alias="Idempotency-Key",
        pattern=ID_PATTERN,
        description="The adjustment's id. The same request with the same key counts once, however often it is sent.",
        examples=["7f1c9a52-6d0e-4a4e-9b57-0c1f5e3d2a10"],
    ),
]

IdInPath = Annotated[str, Path(pattern=ID_PATTERN, description="The adjustment's id: its Idempotency-Key.")]


@router.post(
    "/v1/members/{member_id:member_id}/adjustments",
    response_class=Response,
    responses=ADJUST_RESPONSES,
    status_code=201,
    dependencies=_KEYS_ONCE,
)
async def adjust(
    request: Request, operator: Authenticated, member_id: MemberIdInPath, key: IdempotencyKey, body: AdjustmentIn
) -> Response:
    """Give points to a member, or take some; or reverse what an event took, a penalty or an operator's taking.

    Above the limit of the operator's role it is accepted (202), and waits for another operator, a supervisor.
    """
    desks: Desks = request.app.state.desks
    wish = _wish(member_id_of(request, member_id), key, body)
    try:
        async with desks.desk() as desk:
            standing = await desk.adjust(wish, operator, desks.settings.adjust_points_max(operator.role))
    except ProposalError as error:
        raise _problem(error) from None
    return _answer(standing, posted=201)


@router.get("/v1/adjustments", response_class=Response, responses=LIST_RESPONSES)
async def list_adjustments(
    request: Request,
    operator: Authenticated,
    state: Annotated[
        Literal["waiting", "all"], Query(description="Those that wait for another operator, or all.")
    ] = "waiting",
    limit: Annotated[int, Query(ge=1, le=LIST_MAX, description="How many at most, newest first.")] = 50,
) -> Response:
    """The newest adjustments that operators asked for."""
    desks: Desks = request.app.state.desks
    async with desks.desk() as desk:
        found = await desk.list(limit, only_waiting=state == "waiting")
    document = {"adjustments": [standing_document(standing) for standing in found]}
    return Response(orjson.dumps(document), media_type=JSON)


@router.post(
    "/v1/adjustments/{adjustment_id}/approve",
    response_class=Response,
    responses=RULE_RESPONSES,
    dependencies=_KEYS_ONCE,
)
async def approve(request: Request, operator: Authenticated, adjustment_id: IdInPath, body: RulingIn) -> Response:
    """Approve what another operator proposed: its points move at once. Only a supervisor may."""
    return await _rule(request, operator, adjustment_id, Verdict.APPROVED, body)


@router.post(
    "/v1/adjustments/{adjustment_id}/reject", response_class=Response, responses=RULE_RESPONSES, dependencies=_KEYS_ONCE
)
async def reject(request: Request, operator: Authenticated, adjustment_id: IdInPath, body: RulingIn) -> Response:
    """Reject what another operator proposed, as a supervisor, or withdraw one's own proposal."""
    return await _rule(request, operator, adjustment_id, Verdict.REJECTED, body)


async def _rule(request: Request, operator: Operator, adjustment_id: str, verdict: Verdict, body: RulingIn) -> Response:
    desks: Desks = request.app.state.desks
    try:
        async with desks.desk() as desk:
            standing = await desk.rule(AdjustmentId(adjustment_id), verdict, operator, body.why)
    except ProposalError as error:
        raise _problem(error) from None
    return _answer(standing, posted=200)


def _answer(standing: Standing, *, posted: int) -> Response:
    """What became of an adjustment; raises the problem of one that the ledger refused."""
    recorded, ruling = standing.recorded, standing.proposal.ruling
    if recorded is not None and recorded.outcome is not Outcome.POSTED:
        words = outcome_in_words(recorded.outcome)
        raise ProblemError(
            ProblemType.ADJUSTMENT_REFUSED,
            f"The adjustment was {words} ({recorded.outcome.value}). {KEPT}",
        )
    status = 202 if ruling is None else posted if recorded is not None else 200
    return Response(orjson.dumps(standing_document(standing)), status, media_type=JSON)


def _problem(error: ProposalError) -> ProblemError:
    detail = f"{str(error)[0].upper()}{str(error)[1:]}."
    match error:
        case InvalidWishError():
            where = "path" if error.path == "member_id" else "body"
            return invalid_request(f"{where}.{error.path}", error.reason)
        case UnknownProposalError():
            return ProblemError(ProblemType.ADJUSTMENT_NOT_FOUND, detail)
        case NotAllowedError():
            return ProblemError(ProblemType.NOT_ALLOWED, detail)
        case AlreadyError():
            return ProblemError(ProblemType.ADJUSTMENT_CONFLICT, detail)
        case _:
            raise error


def _instant(text: str | None) -> Instant | None:
    if text is None:
        return None
    try:
        return instant_in(text, "body.expires_at")
    except Undecodable as error:
        raise invalid_request(error.path, error.reason) from None
