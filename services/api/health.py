"""Liveness and readiness, for whoever supervises the process."""

from fastapi import APIRouter, Request
from fastapi.responses import Response

from services.api.connecting import Ledger
from services.api.examples import LIVE_RESPONSES, READY_RESPONSES
from services.api.problems import ProblemError, ProblemType
from shared.monitor import OK, Readiness, Status
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
    found = await readiness(request.app.state.ledger)
    if found.status is Status.NOT_READY:
        raise ProblemError(ProblemType.LEDGER_UNAVAILABLE, f"Reads are not answered: {found.checks['ledger']}.")
    return Response(found.document(), media_type=JSON)


async def readiness(ledger: Ledger) -> Readiness:
    """Whether reads are answered, and whether Redis helps with them."""
    try:
        await ledger.reader.check_ledger()
    except LedgerAwayError as error:
        return Readiness(Status.NOT_READY, {"ledger": str(error)})
    if await ledger.reader.cache_answers():
        return Readiness(Status.READY, {"ledger": OK, "cache": OK})
    return Readiness(Status.DEGRADED, {"ledger": OK, "cache": "away"})
