"""The port that the API is reached by."""

import socket

HOST = "127.0.0.1"
"""Whoever opens the API to a network puts a proxy with authentication in front of it."""

BACKLOG = 512


class PortTakenError(Exception):
    """The port cannot be listened on; the message says which and what to do."""


def listen(port: int) -> socket.socket:
    """A socket that listens on `port` (0: any free one) of loopback. Raises `PortTakenError`."""
    listener = socket.socket()
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
        listener.listen(BACKLOG)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        raise PortTakenError(
            f"port {port} of {HOST} cannot be listened on ({error.strerror}); set POINTSTREAM_API_PORT to a free one"
        ) from error
    return listener
