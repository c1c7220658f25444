"""Errors as RFC 9457 problem details: one named type each, always `application/problem+json`."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from http import HTTPStatus
from urllib.parse import quote

import orjson
import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from shared.reads.reader import LedgerAwayError

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = 1
"""A restart of PostgreSQL takes about so long."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Kind:
    """What is the same for every problem of a type. `type` is a reference relative to the API's root."""

    type: str
    title: str
    status: HTTPStatus


class ProblemType(Enum):
    """Every problem that the API can answer with."""

    INVALID_REQUEST = Kind(
        "/problems/invalid-request", "The request does not keep the contract", HTTPStatus.UNPROCESSABLE_ENTITY
    )
    INVALID_CURSOR = Kind("/problems/invalid-cursor", "The cursor is not one of this statement", HTTPStatus.BAD_REQUEST)
    MEMBER_NOT_FOUND = Kind("/problems/member-not-found", "Nobody knows this member", HTTPStatus.NOT_FOUND)
    ORDER_NOT_FOUND = Kind("/problems/order-not-found", "Nobody knows this order", HTTPStatus.NOT_FOUND)
    NOT_FOUND = Kind("/problems/not-found", "There is nothing at this address", HTTPStatus.NOT_FOUND)
    METHOD_NOT_ALLOWED = Kind(
        "/problems/method-not-allowed", "This address does not take this method", HTTPStatus.METHOD_NOT_ALLOWED
    )
    NOT_AUTHENTICATED = Kind("/problems/not-authenticated", "Nobody is known by this token", HTTPStatus.UNAUTHORIZED)
    NOT_ALLOWED = Kind("/problems/not-allowed", "This may not be done like this", HTTPStatus.FORBIDDEN)
    ADJUSTMENT_NOT_FOUND = Kind(
        "/problems/adjustment-not-found", "Nobody asked for this adjustment", HTTPStatus.NOT_FOUND
    )
    ADJUSTMENT_CONFLICT = Kind(
        "/problems/adjustment-conflict", "It was asked for or decided otherwise before", HTTPStatus.CONFLICT
    )
    ADJUSTMENT_REFUSED = Kind("/problems/adjustment-refused", "The ledger refused it", HTTPStatus.CONFLICT)
    LEDGER_UNAVAILABLE = Kind(
        "/problems/ledger-unavailable", "The ledger does not answer", HTTPStatus.SERVICE_UNAVAILABLE
    )
    INTERNAL_ERROR = Kind("/problems/internal-error", "Something broke here", HTTPStatus.INTERNAL_SERVER_ERROR)


class ProblemError(Exception):
    """Ends a request with a problem. `detail` says what is wrong with this request and what to do about it."""

    def __init__(self, problem: ProblemType, detail: str, errors: list[dict[str, str]] | None = None) -> None:
        super().__init__(detail)
        self.problem = problem
        self.detail = detail
        self.errors = errors


def invalid_request(path: str, message: str) -> ProblemError:
    """The problem of one wrong part of a request, which `path` names: `query.limit`."""
    return ProblemError(ProblemType.INVALID_REQUEST, f"{path}: {message}", [{"path": path, "message": message}])


def handle_problems(app: FastAPI) -> None:
    """Make every error of `app` a problem."""
    app.exception_handler(ProblemError)(_on_problem)
    app.exception_handler(RequestValidationError)(_on_invalid)
    app.exception_handler(HTTPException)(_on_http)
    app.exception_handler(LedgerAwayError)(_on_ledger_away)
    app.exception_handler(Exception)(_on_fault)


def problem_response(
    request: Request,
    problem: ProblemType,
    detail: str,
    extensions: Mapping[str, object] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """A problem as a response; `extensions` are members beyond those of RFC 9457."""
    kind = problem.value
    document = {
        "type": kind.type,
        "title": kind.title,
        "status": kind.status.value,
        "detail": detail,
        "instance": _instance(request),
        **(extensions or {}),
    }
    return Response(orjson.dumps(document), kind.status, {**_usual_headers(kind.status), **(headers or {})}, MEDIA_TYPE)


def _usual_headers(status: HTTPStatus) -> Mapping[str, str]:
    if status is HTTPStatus.SERVICE_UNAVAILABLE:
        return {"Retry-After": str(RETRY_AFTER_S)}
    return {"WWW-Authenticate": "Bearer"} if status is HTTPStatus.UNAUTHORIZED else {}


def _instance(request: Request) -> str:
    """The path as it was asked for. An instance is a URI reference, so it stays percent-encoded."""
    raw: bytes | None = request.scope.get("raw_path")
    return quote(request.scope["path"]) if raw is None else raw.decode("latin-1")


async def _on_problem(request: Request, error: ProblemError) -> Response:
    return problem_response(
        request, error.problem, error.detail, None if error.errors is None else {"errors": error.errors}
    )


async def _on_invalid(request: Request, error: RequestValidationError) -> Response:
    errors = [{"path": ".".join(str(part) for part in item["loc"]), "message": item["msg"]} for item in error.errors()]
    detail = "; ".join(f"{item['path']}: {item['message']}" for item in errors)
    return problem_response(request, ProblemType.INVALID_REQUEST, detail, {"errors": errors})


async def _on_http(request: Request, error: HTTPException) -> Response:
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        detail = f"{request.method} is not one of the methods of this address; see the header Allow."
        return problem_response(request, ProblemType.METHOD_NOT_ALLOWED, detail, headers=error.headers)
    if error.status_code == HTTPStatus.BAD_REQUEST:
        # FastAPI's answer to a body that is no text, or is nested so deeply that Python's JSON gives up.
        return await _on_problem(request, invalid_request("body", "It cannot be read; send JSON in UTF-8."))
    return problem_response(request, ProblemType.NOT_FOUND, "See /openapi.json for the addresses there are.")


async def _on_ledger_away(request: Request, error: LedgerAwayError) -> Response:
    log.warning("a request needed PostgreSQL", path=_instance(request), error=str(error))
    detail = "The answer needs PostgreSQL, which is away. Nothing is lost; ask again soon."
    return problem_response(request, ProblemType.LEDGER_UNAVAILABLE, detail)


async def _on_fault(request: Request, error: Exception) -> Response:
    log.error("a request failed", path=_instance(request), exc_info=error)
    return problem_response(request, ProblemType.INTERNAL_ERROR, "The log of this API says what broke.")
