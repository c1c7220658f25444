"""Free ports on the loopback address."""

import secrets
import socket
from contextlib import ExitStack, suppress

LOOPBACK = "127.0.0.1"

SERVED = range(15_000, 30_000)
"""Ports for servers: below those that systems give to outgoing connections. A client that keeps trying to reach a
server which is down would else be given its port one day, reach itself, and keep the server from coming back."""


def is_free(port: int) -> bool:
    """Whether nobody listens on `port` of the loopback address."""
    with socket.socket() as probe:
        # Connections that were closed a moment ago do not make a port taken.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True


def free_ports(count: int) -> list[int]:
    """`count` different ports that are free now, each taken at random from `SERVED`."""
    with ExitStack() as held:
        # All are held until the last one is known, so that no two are the same.
        ports: list[int] = []
        while len(ports) < count:
            one = held.enter_context(socket.socket())
            port = secrets.choice(SERVED)
            with suppress(OSError):
                one.bind((LOOPBACK, port))
                ports.append(port)
        return ports
