"""Settings, from the environment (`POINTSTREAM_…`) with defaults that suit a laptop."""

from pathlib import Path
from re import fullmatch
from typing import Annotated, assert_never
from urllib.parse import urlsplit, urlunsplit

from pydantic import AfterValidator, Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.operators import OperatorRole, OperatorToken

ORDER_PAID = "order-paid"
REFUND = "refund"
POINTS_CHANGED = "points-changed"

PORT_MAX = 65_535


def _kafka(address: str) -> str:
    if not _are_hosts(address):
        raise ValueError("write Kafka's brokers as HOST:PORT, with commas between them, like 127.0.0.1:9092")
    return address


def _postgres(address: str) -> str:
    # A server that is reached by a socket has no host.
    if not _is_url(address, {"postgresql", "postgres"}, hostless=True):
        raise ValueError("write PostgreSQL's address like postgresql://USER:PASSWORD@HOST:PORT/DATABASE")
    return address


def _redis(address: str) -> str:
    if not (_is_url(address, {"redis", "rediss"}) or address.startswith("unix://")):
        raise ValueError("write the address of Redis like redis://HOST:PORT/0")
    return address


def _is_url(address: str, schemes: set[str], *, hostless: bool = False) -> bool:
    try:
        url = urlsplit(address)
    except ValueError:
        return False
    hosts = url.netloc.rpartition("@")[2]
    return url.scheme in schemes and (_are_hosts(hosts) if hosts else hostless)


def _are_hosts(hosts: str) -> bool:
    found = [fullmatch(r"(\[[0-9a-fA-F:.]+\]|[^\s:/@\[\]]+)(?::([0-9]{1,5}))?", host) for host in hosts.split(",")]
    return all(host is not None and int(host[2] or 0) <= PORT_MAX for host in found)


class Settings(BaseSettings):
    """Where the servers are, which installation this process serves, and how it batches."""

    model_config = SettingsConfigDict(env_prefix="POINTSTREAM_", frozen=True)

    installation: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,40}$")] = "pointstream"
    """Names the database, and prefixes the topics, groups and Redis keys: several can share the servers."""

    kafka: Annotated[str, AfterValidator(_kafka)] = "127.0.0.1:9092"
    kafka_replicas: Annotated[int, Field(ge=1, le=9)] = 1
    """How many brokers keep each record of a topic that is made: 1 on a laptop, 3 where it counts."""
    postgres: Annotated[str, Field(repr=False), AfterValidator(_postgres)] = (
        "postgresql://postgres@127.0.0.1:5432/postgres"
    )
    """Any database of the server, as a user that may take the roles of the migrations. These insist on TLS with a
    server on another machine, unless the address says otherwise (`sslmode`)."""
    redis: Annotated[str, Field(repr=False), AfterValidator(_redis)] = "redis://127.0.0.1:6379/0"

    program: Path = Path("programs/grocery.yaml")

    batch_events_max: Annotated[int, Field(ge=1, le=20_000)] = 2_000
    """Events in one posting transaction at most; a batch is as large as the backlog is, up to this."""
    lanes: Annotated[int, Field(ge=1, le=16)] = 2
    """Batches that a worker has under way: while PostgreSQL writes one, the next is decided."""
    batch_wait_ms: Annotated[int, Field(ge=1, le=10_000)] = 200
    """How long a worker waits for the next event before it looks around again."""
    session_timeout_ms: Annotated[int, Field(ge=1_000, le=300_000)] = 10_000
    """A worker that the broker does not hear of for so long loses its partitions. A broker takes no less than its
    `group.min.session.timeout.ms`, 6 s unless it is told otherwise."""

    dead_letters_in_a_row_max: Annotated[int, Field(ge=1, le=1_000_000)] = 100
    """Unreadable messages in a row, in one partition, that are kept as dead letters; one more stops the worker. A till
    that sends its one bad order again and again stays below it; after a bad deploy the first batch is beyond it."""
    dead_letters_share_max_percent: Annotated[int, Field(ge=1, le=100)] = 20
    """What share of a partition's last messages may be dead letters; more stops the worker. One of several senders that
    went bad has good messages between its own, and is seen by its share alone."""
    dead_letters_share_of_messages: Annotated[int, Field(ge=10, le=1_000_000)] = 1_000
    """Of how many messages the share is taken: enough that a bad hour of one till is no fifth of them."""

    publish_postings_max: Annotated[int, Field(ge=1, le=20_000)] = 4_000
    """Postings in one Kafka transaction of a shard group at most."""
    publish_pause_ms: Annotated[int, Field(ge=0, le=10_000)] = 80
    """How long a publisher that keeps up lets postings gather after a transaction: each one costs the broker some
    twenty requests, whether it has one record or a thousand. A lone posting does not wait for it."""
    tail_pause_ms: Annotated[int, Field(ge=0, le=10_000)] = 40
    """How long a publisher that keeps up lets postings gather before it reads on, and brings them to Redis."""
    publish_poll_ms: Annotated[int, Field(ge=1, le=10_000)] = 15
    """How often the publisher looks for new postings when there were none."""

    sweep_accounts_max: Annotated[int, Field(ge=1, le=20_000)] = 1_000
    """Accounts that the expiry worker settles in one transaction at most."""
    sweep_poll_ms: Annotated[int, Field(ge=1, le=60_000)] = 500
    """How often the expiry worker looks how far time has come."""

    adjust_points_max_agent: Annotated[int, Field(ge=0)] = 1_000
    """Points that an agent gives or takes at once without a second person: some 10 dollars, for a complaint."""
    adjust_points_max_supervisor: Annotated[int, Field(ge=0)] = 100_000
    """The same for a supervisor; beyond it nobody acts alone."""
    operator_tokens: Annotated[tuple[OperatorToken, ...], Field(repr=False)] = ()
    """Who may adjust points over HTTP, as JSON: `[{"actor": "ann", "role": "agent", "sha256": "…"}]`. Without any,
    nobody may."""

    api_port: Annotated[int, Field(ge=0, le=PORT_MAX)] = 8080

    earn_metrics_port: Annotated[int, Field(ge=0, le=PORT_MAX)] = 8081
    """Where a process tells its metrics and health on loopback. 0, or a default that is taken: any free one; the log
    says which. One that is set here and taken keeps the process from starting."""
    publisher_metrics_port: Annotated[int, Field(ge=0, le=PORT_MAX)] = 8082
    expiry_metrics_port: Annotated[int, Field(ge=0, le=PORT_MAX)] = 8083
    api_metrics_port: Annotated[int, Field(ge=0, le=PORT_MAX)] = 8084

    @property
    def database(self) -> str:
        """The address of the installation's own database."""
        return urlunsplit(urlsplit(self.postgres)._replace(path=f"/{self.installation}"))

    def adjust_points_max(self, role: OperatorRole) -> int:
        """How many points somebody of a role gives or takes at once without a second person."""
        match role:
            case OperatorRole.AGENT:
                return self.adjust_points_max_agent
            case OperatorRole.SUPERVISOR:
                return self.adjust_points_max_supervisor
            case _:
                assert_never(role)

    def metrics_port(self, process: str) -> int:
        """The port of one of the processes for its metrics and health."""
        port: int = getattr(self, f"{process}_metrics_port")
        return port

    def is_metrics_port_set(self, process: str) -> bool:
        """Whether somebody chose that port; else it is the default."""
        return f"{process}_metrics_port" in self.model_fields_set

    def topic(self, name: str) -> str:
        """The full name of one of the installation's topics."""
        return f"{self.installation}.{name}"

    def short_topic(self, full: str) -> str:
        """The name of a topic within the installation: what `topic` was given."""
        return full.removeprefix(f"{self.installation}.")

    def group(self, worker: str) -> str:
        """The consumer group of one of the installation's workers."""
        return f"{self.installation}.{worker}"
