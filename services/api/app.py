"""The API: a member's balance and statement over HTTP, and how the process is."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any, NoReturn

import uvloop
from fastapi import FastAPI

from services.api import adjustments, health, members, orders
from services.api.connecting import Ledger
from services.api.models import Problem
from services.api.operators import Desks
from services.api.problems import handle_problems
from services.api.serve import serve
from shared.clock import wall_clock
from shared.domain.time import Instant
from shared.garbage import let_garbage_wait
from shared.listening import PortTakenError
from shared.metrics import Process
from shared.monitor import monitor_of
from shared.settings import Settings

DESCRIPTION = (
    "Reads of a loyalty-points ledger, and adjustments by operators. Amounts are integers of points; instants are"
    " RFC 3339 in UTC. Every error is an RFC 9457 problem with a named type. `POINTSTREAM_INSTALLATION` says which"
    " installation is served."
)


def run(settings: Settings) -> NoReturn:
    """Serve the API in the foreground until SIGTERM or SIGINT; exits the process."""
    try:
        uvloop.run(_serve(settings))
    except PortTakenError as error:
        raise SystemExit(str(error)) from error
    raise SystemExit(0)


async def _serve(settings: Settings) -> None:
    app = create_app(settings)
    monitor = monitor_of(Process.API, settings, lambda: health.readiness(app.state.ledger))
    await monitor.start()
    let_garbage_wait()
    try:
        await serve(app, settings.api_port)
    finally:
        await monitor.stop()


class _Api(FastAPI):
    """With the shape of problems in its OpenAPI document: FastAPI knows of no media type but the one of success."""

    def openapi(self) -> dict[str, Any]:
        document = super().openapi()
        schemas = document["components"]["schemas"]
        schemas |= orders.body_schemas()
        if Problem.__name__ not in schemas:
            problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
            schemas |= {**problem.pop("$defs"), Problem.__name__: problem}
        return document


def create_app(settings: Settings, clock: Callable[[], Instant] = wall_clock) -> FastAPI:
    """The API of the installation that `settings` name; `clock` tells the time of a live one.

    It comes up without PostgreSQL and Redis, and uses them as soon as they are there.
    """
    ledger, desks = Ledger(settings, clock), Desks(settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with ledger.connected():
            try:
                yield
            finally:
                await desks.close()

    app = _Api(
        title="Pointstream",
        version=version("pointstream"),
        description=DESCRIPTION,
        lifespan=lifespan,
        # The pages that show the document would load scripts from elsewhere.
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.ledger = ledger
    app.state.desks = desks
    app.include_router(adjustments.router)
    app.include_router(members.balances)
    app.include_router(members.router)
    app.include_router(orders.router)
    app.include_router(health.router)
    handle_problems(app)
    return app
