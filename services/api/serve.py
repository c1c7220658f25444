"""Serving an app on loopback until SIGTERM or SIGINT."""

import asyncio
import contextlib
import signal
import socket
from collections.abc import Iterator
from typing import NoReturn

import structlog
import uvicorn
from fastapi import FastAPI

HOST = "127.0.0.1"
"""Whoever opens the API to a network puts a proxy with authentication in front of it."""

STOP_TIMEOUT_S = 8
"""What requests under way may take to end after a stop signal; the whole process is gone within 10 s."""

BACKLOG = 512

log = structlog.get_logger()


class PortTakenError(Exception):
    """The port cannot be listened on; the message says which and what to do."""


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
    with _listen(port) as listener:
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


def _listen(port: int) -> socket.socket:
    listener = socket.socket()
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
        listener.listen(BACKLOG)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        _refuse(port, error)
    return listener


def _refuse(port: int, error: OSError) -> NoReturn:
    raise PortTakenError(
        f"port {port} of {HOST} cannot be listened on ({error.strerror}); set POINTSTREAM_API_PORT to a free one"
    ) from error
