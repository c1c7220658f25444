"""What the local stack speaks of: its servers, their addresses and their state."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from urllib.parse import urlsplit, urlunsplit

Say = Callable[[str], None]


class Server(StrEnum):
    """A server that Pointstream needs."""

    KAFKA = "kafka"
    POSTGRES = "postgres"
    REDIS = "redis"


class ProviderName(StrEnum):
    """Where a server comes from."""

    ENVIRONMENT = "environment"
    LOCAL = "local"


class ServerState(StrEnum):
    """What a server said when it was asked."""

    READY = "ready"
    NOT_ANSWERING = "not answering"
    DOWN = "down"


VARIABLES: Mapping[Server, str] = MappingProxyType(
    {
        Server.KAFKA: "POINTSTREAM_KAFKA",
        Server.POSTGRES: "POINTSTREAM_POSTGRES",
        Server.REDIS: "POINTSTREAM_REDIS",
    }
)
"""The environment variable that gives a server's address."""

TITLES: Mapping[Server, str] = MappingProxyType(
    {Server.KAFKA: "Kafka", Server.POSTGRES: "PostgreSQL", Server.REDIS: "Redis"}
)
"""A server's name in a message."""


class StackError(Exception):
    """The stack cannot do what was asked. The message says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the three servers listen.

    `kafka` is a list of bootstrap servers ("127.0.0.1:9092"), `postgres` the superuser's URL with its password,
    `redis` a URL with the database's number.
    """

    kafka: str
    postgres: str
    redis: str

    def environment(self) -> dict[str, str]:
        """The environment variables by which another process finds the same servers."""
        return {variable: str(getattr(self, server.value)) for server, variable in VARIABLES.items()}

    def __repr__(self) -> str:
        """The same without the password: an address may end up in a log."""
        return f"Addresses(kafka={self.kafka!r}, postgres={shown(self.postgres)!r}, redis={shown(self.redis)!r})"


@dataclass(frozen=True, slots=True)
class ServerStatus:
    """One server as it was found. `address` has no password; memory and data are in bytes, of local servers only."""

    server: Server
    provider: ProviderName
    state: ServerState
    address: str | None = None
    pid: int | None = None
    memory_bytes: int | None = None
    data_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class StackStatus:
    """All servers as they were found, in the order of `Server`."""

    root: Path
    servers: tuple[ServerStatus, ...]

    @property
    def ready(self) -> bool:
        """Whether every server answers."""
        return all(server.state is ServerState.READY for server in self.servers)


def shown(address: str) -> str:
    """An address as it may be shown: a URL's password becomes ***."""
    parts = urlsplit(address)
    if not parts.netloc or "@" not in parts.netloc:
        return address
    credentials, _, host = parts.netloc.rpartition("@")
    user, colon, _ = credentials.partition(":")
    return urlunsplit(parts._replace(netloc=f"{user}{colon and ':***'}@{host}"))
