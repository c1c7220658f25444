"""Liveness and readiness, for whoever supervises the process."""

import orjson
from fastapi import APIRouter, Request
from fastapi.responses import Response

from services.api.connecting import Ledger
from services.api.examples import LIVE_RESPONSES, READY_RESPONSES
from services.api.problems import ProblemError, ProblemType
from shared.reads.reader import LedgerAwayError

JSON = "application/json"

router = APIRouter(prefix="/health", tags=["health"])


@router.get("/live", response_class=Response, responses=LIVE_RESPONSES)
async def live() -> Response:
    """The process answers. It does not look at PostgreSQL or Redis: a restart would not mend them."""
    return Response(b'{"status":"alive"}', media_type=JSON)


@router.get("/ready", response_class=Response, responses=READY_RESPONSES)
async def ready(request: Request) -> Response:
    """Whether reads are answered: PostgreSQL answers, the installation and its program are there.

    Without Redis they still are, only slower: `degraded`.
    """
    ledger: Ledger = request.app.state.ledger
    try:
        await ledger.reader.check_ledger()
    except LedgerAwayError as error:
        raise ProblemError(ProblemType.LEDGER_UNAVAILABLE, f"Reads are not answered: {error}.") from error
    cache = await ledger.reader.cache_answers()
    document = {
        "status": "ready" if cache else "degraded",
        "checks": {"ledger": "ok", "cache": "ok" if cache else "away"},
    }
    return Response(orjson.dumps(document), media_type=JSON)
