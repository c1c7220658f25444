"""Serving an app on loopback until SIGTERM or SIGINT."""

import asyncio
import contextlib
import signal
from collections.abc import Iterator

import structlog
import uvicorn
from fastapi import FastAPI

from shared.listening import HOST, listen

STOP_TIMEOUT_S = 8
"""What requests under way may take to end after a stop signal; the whole process is gone within 10 s."""

log = structlog.get_logger()


class _Server(uvicorn.Server):
    """Stops on SIGTERM and SIGINT, and leaves it at that: uvicorn would raise the signal again when it is done."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        signals = (signal.SIGTERM, signal.SIGINT)
        for number in signals:
            loop.add_signal_handler(number, self.handle_exit, number, None)
        try:
            yield
        finally:
            for number in signals:
                loop.remove_signal_handler(number)


async def serve(app: FastAPI, port: int) -> None:
    """Serve `app` on `port` (0: any free one) of loopback until SIGTERM or SIGINT, then end what is under way.

    Raises `PortTakenError`.
    """
    with listen(port) as listener:
        server = _Server(
            uvicorn.Config(
                app,
                access_log=False,
                proxy_headers=False,
                log_config=None,
                server_header=False,
                lifespan="on",
                timeout_graceful_shutdown=STOP_TIMEOUT_S,
            )
        )
        log.info("serving", url=f"http://{HOST}:{listener.getsockname()[1]}")
        await server.serve(sockets=[listener])
        log.info("stopped")
