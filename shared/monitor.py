"""How a process is, for whoever supervises and watches it: `/metrics`, `/health/live` and `/health/ready`, on loopback.

The server has a thread of its own, so it still answers, and says so, when the event loop does not turn any more.
"""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import CancelledError
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer

import orjson
import structlog
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from shared.ledger.database import LEDGER_ERRORS, Pool
from shared.listening import PortTakenError
from shared.metrics import Process, registry_of
from shared.settings import Settings

HOST = "127.0.0.1"
"""Figures of a business are nobody else's; an agent on the machine collects them."""

BEAT_S = 0.5

SILENCE_S_MAX = 10.0
"""The longest that the loop may not turn. Deciding a large batch holds it for some tenths of a second."""

READY_WAIT_S = 3.0
"""How long a probe waits for the answer of the loop: longer than any of the checks."""

CHECK_WAIT_S = 2.0

REQUEST_TIMEOUT_S = 5.0
"""A client that does not say what it wants for so long is cut off."""

JSON = "application/json"

OK = "ok"


log = structlog.get_logger()


class Status(StrEnum):
    """How far a process can do its work."""

    READY = "ready"
    DEGRADED = "degraded"
    NOT_READY = "not ready"


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether a process can do its work, with what was looked at: `ok`, or what is wrong."""

    status: Status
    checks: Mapping[str, str]

    def document(self) -> bytes:
        """It as JSON."""
        return orjson.dumps({"status": self.status, "checks": self.checks})


def readiness_of(checks: Mapping[str, str]) -> Readiness:
    """Ready when every check says `ok`."""
    return Readiness(Status.READY if set(checks.values()) == {OK} else Status.NOT_READY, checks)


async def check_pool(pool: Pool | None) -> str:
    """Whether PostgreSQL answers: `ok`, or why not."""
    if pool is None:
        return "not connected yet"
    try:
        async with asyncio.timeout(CHECK_WAIT_S):
            await pool.fetchval("SELECT 1")
    except LEDGER_ERRORS as error:
        return f"away: {str(error) or type(error).__name__}"
    return OK


class Monitor:
    """Answers scrapes and probes of one process.

    `readiness` runs on the loop on which the monitor was started. `port` 0 is any free one. Where it is taken, a free
    one is used instead, unless it was `chosen`.
    """

    def __init__(
        self,
        process: Process,
        port: int,
        readiness: Callable[[], Awaitable[Readiness]],
        silence_s_max: float = SILENCE_S_MAX,
        *,
        chosen: bool = False,
    ) -> None:
        self.process = process
        self.registry: CollectorRegistry = registry_of(process)
        self._port = port
        self._chosen = chosen
        self._readiness = readiness
        self._silence_s_max = silence_s_max
        self._loop: asyncio.AbstractEventLoop | None = None
        self._beaten_at_s = 0.0
        self._next_beat: asyncio.TimerHandle | None = None
        self._server: _Server | None = None

    @property
    def url(self) -> str:
        """Where it answers, once it is started."""
        if self._server is None:
            raise RuntimeError("a monitor has an address once it is started")
        return f"http://{HOST}:{self._server.server_port}"

    async def start(self) -> None:
        """Listen, and say where. Raises `PortTakenError` where the port was chosen and is taken."""
        self._loop = asyncio.get_running_loop()
        self._server = _listen(self, self._port, chosen=self._chosen)
        self._beat(self._loop)
        threading.Thread(target=self._server.serve_forever, name="monitor", daemon=True).start()
        log.info("watched", metrics=f"{self.url}/metrics")

    async def stop(self) -> None:
        """Answer no more."""
        if self._next_beat is not None:
            self._next_beat.cancel()
        if self._server is not None:
            await asyncio.to_thread(self._server.shutdown)
            self._server.server_close()

    def live(self) -> Readiness:
        """Whether the loop turns. For the server's threads."""
        silent_s = time.monotonic() - self._beaten_at_s
        if silent_s > self._silence_s_max:
            return Readiness(Status.NOT_READY, {"loop": f"has not turned for {silent_s:.1f} s"})
        return Readiness(Status.READY, {"loop": OK})

    def ready(self) -> Readiness:
        """Whether the process can do its work. For the server's threads: the loop answers, or it is silent."""
        if self._loop is None:
            raise RuntimeError("a monitor answers once it is started")
        answer = asyncio.run_coroutine_threadsafe(self._ask(), self._loop)
        try:
            return answer.result(READY_WAIT_S)
        except (TimeoutError, CancelledError):
            answer.cancel()
            return Readiness(Status.NOT_READY, {"loop": f"has not answered within {READY_WAIT_S:g} s"})

    async def _ask(self) -> Readiness:
        return await self._readiness()

    def _beat(self, loop: asyncio.AbstractEventLoop) -> None:
        self._beaten_at_s = time.monotonic()
        self._next_beat = loop.call_later(BEAT_S, self._beat, loop)


def monitor_of(process: Process, settings: Settings, readiness: Callable[[], Awaitable[Readiness]]) -> Monitor:
    """The monitor of a process, on the port that the settings give it."""
    return Monitor(process, settings.metrics_port(process), readiness, chosen=settings.is_metrics_port_set(process))


class _Server(ThreadingHTTPServer):
    """On loopback, with a thread for each request."""

    daemon_threads = True

    def __init__(self, monitor: Monitor, port: int) -> None:
        self.monitor = monitor
        super().__init__((HOST, port), _Handler)

    def server_bind(self) -> None:
        """Without the name lookup that HTTPServer makes here: it may hang."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]  # type: ignore[assignment]


def _listen(monitor: Monitor, port: int, *, chosen: bool) -> _Server:
    """On `port`, or where a default is taken on a free one: the work goes before its figures."""
    try:
        return _Server(monitor, port)
    except OSError as error:
        if port == 0:
            raise
        if chosen:
            raise PortTakenError(
                f"port {port} of {HOST} cannot be listened on ({error.strerror});"
                f" set POINTSTREAM_{monitor.process.upper()}_METRICS_PORT to a free one, another for each worker"
            ) from error
        log.warning("the metrics port is taken, so a free one is used", port=port, error=error.strerror)
        return _Server(monitor, 0)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = REQUEST_TIMEOUT_S

    def do_GET(self) -> None:
        """Answer one of the three paths."""
        monitor = self.server.monitor
        match self.path.partition("?")[0]:
            case "/metrics":
                self._answer(HTTPStatus.OK, CONTENT_TYPE_LATEST, generate_latest(monitor.registry))
            case "/health/live":
                self._health(monitor.live())
            case "/health/ready":
                self._health(monitor.ready())
            case _:
                self._answer(HTTPStatus.NOT_FOUND, "text/plain", b"/metrics, /health/live, /health/ready\n")

    def _health(self, found: Readiness) -> None:
        status = HTTPStatus.SERVICE_UNAVAILABLE if found.status is Status.NOT_READY else HTTPStatus.OK
        self._answer(status, JSON, found.document())

    def _answer(self, status: HTTPStatus, content_type: str, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class calls it so
        """Scrapes and probes are no news."""
