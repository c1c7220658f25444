"""Reading a member: balance and statement."""

from collections.abc import Callable, Coroutine
from typing import Annotated, Any
from urllib.parse import unquote_to_bytes

import orjson
from fastapi import APIRouter, Path, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from fastapi.routing import APIRoute
from pydantic import TypeAdapter, ValidationError
from starlette.convertors import Convertor, register_url_convertor

from services.api import cursor as cursors
from services.api.connecting import Ledger
from services.api.examples import BALANCE_RESPONSES, STATEMENT_RESPONSES
from services.api.problems import ProblemError, ProblemType, invalid_request
from shared.contracts.fields import MAX_NAME_CHARS, NO_NUL
from shared.domain.ids import MemberId
from shared.ledger.read import BEFORE_NOTHING
from shared.reads.documents import balance_document, entries_document

STATEMENT_ENTRIES_MAX = 200
"""Some 100 KB; whoever wants more takes the next page."""

CURSOR_CHARS_MAX = 64
"""More than any cursor has."""

SOURCE_HEADER = "X-Balance-Source"

JSON = "application/json"


class _MemberIdConvertor(Convertor[str]):
    """A member id may have any character in it: the slashes of a path too, and line breaks."""

    regex = r"[\s\S]*"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("member_id", _MemberIdConvertor())

MemberIdInPath = Annotated[
    str,
    Path(
        min_length=1,
        max_length=MAX_NAME_CHARS,
        pattern=NO_NUL,
        description="The member's id as the events give it, percent-encoded: `a/b` is `a%2Fb`.",
        examples=["M-1001"],
    ),
]

router = APIRouter(prefix="/v1/members", tags=["members"])


class _ByMember(APIRoute):
    """A route that is asked for nothing but a member, a thousand times a second. What FastAPI does for any parameter
    costs several times what the answer does."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        async def handle(request: Request) -> Response:
            try:
                member_id = _MEMBER_ID.validate_python(request.path_params["member_id"])
            except ValidationError as error:
                found = [{**item, "loc": ("path", "member_id")} for item in error.errors()]
                raise RequestValidationError(found) from error
            answer: Response = await self.endpoint(request, member_id)
            return answer

        return handle


_MEMBER_ID: TypeAdapter[str] = TypeAdapter(MemberIdInPath)

balances = APIRouter(prefix="/v1/members", tags=["members"], route_class=_ByMember)


@balances.get("/{member_id:member_id}/balance", response_class=Response, responses=BALANCE_RESPONSES)
async def read_balance(request: Request, member_id: MemberIdInPath) -> Response:
    """A member's balances now.

    What became active or expired by now is counted, also where no worker has posted it yet. The header
    `X-Balance-Source` says whether Redis gave the answer (`cache`) or PostgreSQL (`ledger`).
    """
    ledger: Ledger = request.app.state.ledger
    member = member_id_of(request, member_id)
    balance = await ledger.reader.balance(member)
    if balance is None:
        raise _unknown(member)
    return Response(orjson.dumps(balance_document(balance)), headers={SOURCE_HEADER: balance.source}, media_type=JSON)


@router.get("/{member_id:member_id}/statement", response_class=Response, responses=STATEMENT_RESPONSES)
async def read_statement(
    request: Request,
    member_id: MemberIdInPath,
    limit: Annotated[int, Query(ge=1, le=STATEMENT_ENTRIES_MAX, description="Entries on a page at most.")] = 50,
    cursor: Annotated[
        str | None,
        Query(max_length=CURSOR_CHARS_MAX, description="The `next_cursor` of the page before; none for the newest."),
    ] = None,
) -> Response:
    """A member's postings, newest first, a page at a time.

    Pages stay as they are while new postings come in: those stand before the first page.
    """
    ledger: Ledger = request.app.state.ledger
    member = member_id_of(request, member_id)
    before = BEFORE_NOTHING if cursor is None else _before(member, cursor)
    entries = await ledger.reader.statement(member, limit, before)
    if entries is None:
        raise _unknown(member)
    # Versions count from 1 without gaps, so it shows on the last entry whether there are older ones.
    oldest = entries[-1].posting.version if entries else 1
    document = {
        "member_id": member,
        "entries": entries_document(entries),
        "next_cursor": cursors.encode(member, oldest) if oldest > 1 else None,
    }
    return Response(orjson.dumps(document), media_type=JSON)


def member_id_of(request: Request, text: str) -> MemberId:
    """The member id of a path. Raises the problem of one that is no UTF-8."""
    return MemberId(utf8_or_refused(request, text, "path.member_id"))


def utf8_or_refused(request: Request, text: str, part: str) -> str:
    """An id out of the path, unless the server had to guess at it: bytes that are no UTF-8 come as U+FFFD, and would be
    another id. Raises the problem of that part of the request."""
    if "\ufffd" in text:
        try:
            unquote_to_bytes(request.scope["raw_path"]).decode()
        except UnicodeDecodeError:
            raise invalid_request(part, "percent-encode the id as UTF-8") from None
    return text


def _before(member_id: MemberId, cursor: str) -> int:
    try:
        return cursors.decode(member_id, cursor)
    except cursors.CursorError:
        raise ProblemError(
            ProblemType.INVALID_CURSOR,
            "Take the next_cursor of this member's statement as it was given, or leave the cursor out to start anew.",
        ) from None


def _unknown(member_id: MemberId) -> ProblemError:
    return ProblemError(
        ProblemType.MEMBER_NOT_FOUND,
        f"Nothing was ever posted for member {member_id!r}. A new member is known once the first points have moved.",
    )
