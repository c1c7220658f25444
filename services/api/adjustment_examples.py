"""What the OpenAPI document says of the answers about adjustments."""

from typing import Any

from services.api.examples import Responses, away, fault, invalid, ok, problem
from services.api.models import Adjustment, AdjustmentList
from services.api.operators import NO_TOKENS, WHO_ARE_YOU
from services.api.problems import ProblemType

KEPT = "It is kept like this; another one needs an id of its own."

_ADJUST_PATH = "/v1/members/M-1001/adjustments"
_APPROVE_PATH = "/v1/adjustments/7f1c9a52/approve"

_Example = tuple[ProblemType, str, dict[str, Any]]

# Nothing in an example is null: FastAPI leaves such members out.
_POSTED = {
    "adjustment_id": "7f1c9a52",
    "member_id": "M-1001",
    "wallet": "points",
    "points": 50,
    "expires_at": "2027-01-01T05:00:00Z",
    "actor": "ann",
    "role": "agent",
    "reason": "the parcel was late",
    "proposed_at": "2026-06-01T09:30:00.250000Z",
    "state": "posted",
    "outcome": "posted",
    "decision": {
        "verdict": "within_limit",
        "actor": "ann",
        "why": "the parcel was late",
        "decided_at": "2026-06-01T09:30:00.250000Z",
    },
}

_APPROVED: dict[str, Any] = {
    **_POSTED,
    "points": 5000,
    "decision": {
        "verdict": "approved",
        "actor": "bob",
        "why": "checked with the shop",
        "decided_at": "2026-06-01T10:02:11Z",
    },
}

_WAITING = {**_POSTED, "points": 5000, "state": "waiting", "outcome": None, "decision": None}

_NOT_CONFIGURED: _Example = (ProblemType.NOT_ALLOWED, NO_TOKENS, {})
_OWN: _Example = (
    ProblemType.NOT_ALLOWED,
    "Nobody approves what they proposed themselves: another supervisor has to.",
    {},
)
_TOKEN: _Example = (
    ProblemType.NOT_AUTHENTICATED,
    WHO_ARE_YOU,
    {},
)
_REFUSED: _Example = (
    ProblemType.ADJUSTMENT_REFUSED,
    "The adjustment was refused, there are not so many points available (balance_too_low). " + KEPT,
    {},
)

ADJUST_RESPONSES: Responses = {
    201: ok(Adjustment, _POSTED),
    202: ok(Adjustment, _WAITING),
    200: ok(
        Adjustment, {**_WAITING, "state": "rejected", "decision": {**_APPROVED["decision"], "verdict": "rejected"}}
    ),
    401: problem(_ADJUST_PATH, _TOKEN),
    403: problem(_ADJUST_PATH, _NOT_CONFIGURED),
    409: problem(
        _ADJUST_PATH,
        (
            ProblemType.ADJUSTMENT_CONFLICT,
            "The id '7f1c9a52' was used before for another adjustment, which stands; take another id.",
            {},
        ),
        _REFUSED,
    ),
    422: invalid(_ADJUST_PATH, "header.Idempotency-Key", "Field required"),
    500: fault(_ADJUST_PATH),
    503: away(_ADJUST_PATH),
}

RULE_RESPONSES: Responses = {
    200: ok(Adjustment, _APPROVED),
    401: problem(_APPROVE_PATH, _TOKEN),
    403: problem(_APPROVE_PATH, _NOT_CONFIGURED, _OWN),
    404: problem(_APPROVE_PATH, (ProblemType.ADJUSTMENT_NOT_FOUND, "There is no adjustment '7f1c9a52'.", {})),
    409: problem(
        _APPROVE_PATH, (ProblemType.ADJUSTMENT_CONFLICT, "It was decided before: rejected, by bob.", {}), _REFUSED
    ),
    422: invalid(_APPROVE_PATH, "body.why", "String should have at least 1 character"),
    500: fault(_APPROVE_PATH),
    503: away(_APPROVE_PATH),
}

LIST_RESPONSES: Responses = {
    200: ok(AdjustmentList, {"adjustments": [_APPROVED]}),
    401: problem("/v1/adjustments", _TOKEN),
    403: problem("/v1/adjustments", _NOT_CONFIGURED),
    422: invalid("/v1/adjustments", "query.limit", "Input should be less than or equal to 200"),
    500: fault("/v1/adjustments"),
    503: away("/v1/adjustments"),
}
