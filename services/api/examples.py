"""What the OpenAPI document says of each answer: its shape, with an example."""

from typing import Any

from services.api.models import Balance, Liveness, Readiness, Statement
from services.api.problems import MEDIA_TYPE, RETRY_AFTER_S, ProblemType

Responses = dict[int | str, dict[str, Any]]

_BALANCE_PATH = "/v1/members/M-1001/balance"
_STATEMENT_PATH = "/v1/members/M-1001/statement"

_WALLETS = {
    "points": {
        "available": 59,
        "pending": 12,
        "debt": 0,
        "lifetime_issued": 111,
        "expired": 40,
        "clawed_back": 0,
        "adjusted": 0,
        "penalty": 0,
        "written_off": 0,
        "cash_offset": 0,
    },
    "growth": {
        "available": 99,
        "pending": 0,
        "debt": 0,
        "lifetime_issued": 99,
        "expired": 0,
        "clawed_back": 0,
        "adjusted": 0,
        "penalty": 0,
        "written_off": 0,
        "cash_offset": 0,
    },
}

_BALANCE = {
    "member_id": "M-1001",
    "version": 3,
    "as_of": "2026-06-01T09:30:00.250000Z",
    "next_due_at": "2026-06-10T04:00:00Z",
    "wallets": _WALLETS,
}

# Nothing in an example is null: FastAPI leaves such members out.
_ACCRUAL = {
    "version": 3,
    "kind": "accrual",
    "occurred_at": "2026-05-26T15:02:11Z",
    "effective_at": "2026-05-26T15:02:11Z",
    "recorded_at": "2026-05-26T15:02:11.480312Z",
    "program_version": 1,
    "order_id": "A-7731",
    "event": {"source": "urn:shop:checkout", "id": "paid-7731", "type": "pointstream.order-paid.v1"},
    "movements": [
        {
            "wallet": "points",
            "from": "issued",
            "to": "available",
            "amount": 59,
            "rule": "base",
            "lot": 2,
            "order": "A-7731",
        },
        {
            "wallet": "points",
            "from": "issued",
            "to": "pending",
            "amount": 12,
            "rule": "house-brand",
            "lot": 3,
            "order": "A-7731",
        },
    ],
    "balances": {"points": _WALLETS["points"]},
}

_STATEMENT = {"member_id": "M-1001", "entries": [_ACCRUAL], "next_cursor": "AQAAAAAAAAADdBRhv0Co"}


def ok(model: type, example: object, headers: dict[str, Any] | None = None) -> dict[str, Any]:
    """An answer of a shape, with an example."""
    answer = {
        "description": (model.__doc__ or "").split("\n")[0],
        "model": model,
        "content": {"application/json": {"example": example}},
    }
    return answer if headers is None else {**answer, "headers": headers}


def problem(path: str, *examples: tuple[ProblemType, str, dict[str, Any]]) -> dict[str, Any]:
    """Problems of one status; each has a detail and further members."""
    documents: dict[str, Any] = {}
    for kind_of, detail, extensions in examples:
        kind = kind_of.value
        name = kind.type.rpartition("/")[2]
        documents[name if name not in documents else f"{name}-{len(documents)}"] = {
            "summary": kind.title,
            "value": {
                "type": kind.type,
                "title": kind.title,
                "status": kind.status.value,
                "detail": detail,
                "instance": path,
                **extensions,
            },
        }
    return {
        "description": " / ".join(dict.fromkeys(kind_of.value.title for kind_of, _, _ in examples)),
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}, "examples": documents}},
    }


def away(path: str) -> dict[str, Any]:
    """What is answered while PostgreSQL is away."""
    detail = "The answer needs PostgreSQL, which is away. Nothing is lost; ask again soon."
    seconds = {"description": "Seconds to wait before asking again.", "schema": {"type": "integer"}}
    return {
        **problem(path, (ProblemType.LEDGER_UNAVAILABLE, detail, {})),
        "headers": {"Retry-After": {**seconds, "example": RETRY_AFTER_S}},
    }


def invalid(path: str, part: str, message: str) -> dict[str, Any]:
    """What is answered to a request with a wrong part."""
    errors = {"errors": [{"path": part, "message": message}]}
    return problem(path, (ProblemType.INVALID_REQUEST, f"{part}: {message}", errors))


def fault(path: str) -> dict[str, Any]:
    """What is answered when something broke."""
    return problem(path, (ProblemType.INTERNAL_ERROR, "The log of this API says what broke.", {}))


def _unknown(path: str) -> dict[str, Any]:
    detail = "Nothing was ever posted for member 'M-1001'. A new member is known once the first points have moved."
    return problem(path, (ProblemType.MEMBER_NOT_FOUND, detail, {}))


_SOURCE = {"description": "Where it was read.", "schema": {"type": "string", "enum": ["cache", "ledger"]}}

BALANCE_RESPONSES: Responses = {
    200: ok(Balance, _BALANCE, {"X-Balance-Source": {**_SOURCE, "example": "cache"}}),
    404: _unknown(_BALANCE_PATH),
    422: invalid(_BALANCE_PATH, "path.member_id", "String should have at most 128 characters"),
    500: fault(_BALANCE_PATH),
    503: away(_BALANCE_PATH),
}

STATEMENT_RESPONSES: Responses = {
    200: ok(Statement, _STATEMENT),
    400: problem(
        _STATEMENT_PATH,
        (
            ProblemType.INVALID_CURSOR,
            "Take the next_cursor of this member's statement as it was given, or leave the cursor out to start anew.",
            {},
        ),
    ),
    404: _unknown(_STATEMENT_PATH),
    422: invalid(_STATEMENT_PATH, "query.limit", "Input should be less than or equal to 200"),
    500: fault(_STATEMENT_PATH),
    503: away(_STATEMENT_PATH),
}

LIVE_RESPONSES: Responses = {200: ok(Liveness, {"status": "alive"})}

READY_RESPONSES: Responses = {
    200: ok(Readiness, {"status": "ready", "checks": {"ledger": "ok", "cache": "ok"}}),
    500: fault("/health/ready"),
    503: away("/health/ready"),
}
