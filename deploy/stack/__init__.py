"""The servers that Pointstream needs, on one machine: real Kafka, PostgreSQL and Redis, brought up and down."""

from .control import addresses, down, home, status, up
from .model import Addresses, ProviderName, Server, ServerState, ServerStatus, StackError, StackStatus

__all__ = [
    "Addresses",
    "ProviderName",
    "Server",
    "ServerState",
    "ServerStatus",
    "StackError",
    "StackStatus",
    "addresses",
    "down",
    "home",
    "status",
    "up",
]
