"""Pointstream's own workers, in simulated processes, with stand-ins in the place of the clients of the stores.

Nothing of the workers is made anew: these are the real `Ingest` with its lanes, `Publisher` with its shares and the
cache tail, `Expiry` with the watermark, and `Reader`. Only the names by which they reach a store are replaced.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import timedelta
from typing import Any
from unittest.mock import patch
from uuid import UUID

import orjson
from aiokafka import TopicPartition
from mode import Service

import services.expiry.app as expiry_app
import services.publisher.app as publisher_app
import services.publisher.cache as cache_module
import services.publisher.positions as positions_module
import services.publisher.share as share_module
import shared.cache.balances as balances_module
import shared.ledger.budgets as budgets_module
import shared.stream.ingest as ingest_module
from services.earn.app import ingest
from services.expiry.app import Expiry
from services.publisher.app import Publisher
from shared.cache.balances import BalanceCache
from shared.domain.ids import EventId, MemberId
from shared.domain.model import Bucket
from shared.domain.program import Programs
from shared.domain.time import Instant, instant_of
from shared.ledger.batch import Batch, Consumed
from shared.ledger.database import CONNECTION_ERRORS
from shared.ledger.installation import Clock, Installation
from shared.ledger.post import Poster
from shared.reads.reader import LedgerAwayError, Reader
from shared.settings import ORDER_PAID, POINTS_CHANGED, REFUND, Settings
from shared.stream.topics import PUBLISHED, SHARES
from tests.simulation import kafka, postgres, redis
from tests.simulation.sql import HANDLERS
from tests.simulation.workload import BEHAVIOUR, SINCE, START, START_MS, Program
from tests.simulation.world import Process, World, current

SHARDS = 3
SETTINGS = Settings(
    installation="sim",
    kafka="simulated:1",
    postgres="postgresql://simulated:1/postgres",
    redis="redis://simulated:1/0",
    batch_events_max=4,
    batch_wait_ms=100,
    lanes=2,
    publish_postings_max=6,
    publish_pause_ms=1,
    tail_pause_ms=1,
    publish_poll_ms=100,
    sweep_accounts_max=2,
    sweep_poll_ms=100,
)
INSTALLATION = Installation("sim", SHARDS, Clock.LIVE, None)
INPUTS = SETTINGS.topic(ORDER_PAID), SETTINGS.topic(REFUND), SETTINGS.topic(BEHAVIOUR)
OUTPUT, POSITIONS = SETTINGS.topic(POINTS_CHANGED), SETTINGS.topic(PUBLISHED)
OPERATOR = "operator"
EARN, PUBLISH = SETTINGS.group("earn"), SETTINGS.group("publisher")


class System:
    """One installation: the stores, the clock, and the processes that run."""

    def __init__(self, world: World, program: Program) -> None:
        self.world = world
        self.programs = program.programs
        self.now_ms = START_MS
        self.postgres = postgres.Postgres(world, self.now)
        for shard in range(SHARDS):
            self.postgres.tables["shard_heads"][(shard,)] = {"shard": shard, "pos": 0}
        self.postgres.tables["programs"][(1,)] = {"version": 1, "document": program.text, "effective_from": SINCE}
        self.kafka = kafka.Kafka(world, lambda: self.now_ms)
        for topic in (*INPUTS, OUTPUT):
            self.kafka.create_topic(topic, SHARDS)
        self.kafka.create_topic(POSITIONS, SHARES)
        self.redis = redis.RedisServer(world)
        self.processes: dict[str, Process] = {}
        self.services: dict[str, Service] = {}
        self.taken: list[tuple[TopicPartition, int] | Consumed] = []
        """What the ledger took, in its order: messages by partition and offset, and adjustments."""
        self.adjustments: dict[EventId, Consumed] = {}
        """What operators tried, each batch in its order."""
        self.broken: list[str] = []
        """What made a worker give up for good; nothing should."""

    def now(self) -> Instant:
        """What time it is for everybody."""
        return instant_of(START + timedelta(milliseconds=self.now_ms - START_MS))

    def start(self, name: str) -> None:
        """Start (again) one of: earn-N, publisher-N, expiry."""
        process = self.processes[name] = _Process(self, name)
        self.world.say(name, "STARTED")
        self.world.spawn(process, self._run(name))
        self.world.loop.run_ready()

    async def _run(self, name: str) -> None:
        service: Service
        match name.split("-", maxsplit=1)[0]:
            case "earn":
                service = ingest(SETTINGS)
                task = ingest_module.Ingest._consume
            case "publisher":
                service = Publisher(SETTINGS)
                task = publisher_app.Publisher._publish
            case _:
                service = Expiry(SETTINGS)
                task = expiry_app.Expiry._expire
        self.services[name] = service
        try:
            await task.fun(service)
        except Exception as error:
            self.broken.append(f"{name}: {error!r}")
        if service.crash_reason is not None:
            self.broken.append(f"{name}: {service.crash_reason!r}")

    def read(self, number: int, member_id: str) -> None:
        """Let somebody ask for a balance."""
        process = self.processes[f"reader-{number}"] = _Process(self, f"reader-{number}")
        self.world.spawn(process, self._read(MemberId(member_id)))
        self.world.loop.run_ready()

    async def _read(self, member_id: MemberId) -> None:
        cache = BalanceCache(SETTINGS.redis, SETTINGS.installation, SHARDS)
        pool: Any = postgres.Pool(self.postgres, HANDLERS)
        reader = Reader(pool, cache, INSTALLATION, self.programs, self.now)
        with suppress(LedgerAwayError):
            await reader.balance(member_id)

    def available(self) -> dict[str, int]:
        """What operators see: the points that each member has."""
        rows = sorted(self.postgres.tables["accounts"].values(), key=lambda row: row["member_id"])
        return {row["member_id"]: orjson.loads(row["balances"])["points"].get(Bucket.AVAILABLE, 0) for row in rows}

    def adjust(self, number: int, events: list[Consumed]) -> None:
        """Let an operator post adjustments and appeals, in one batch."""
        self.adjustments |= {each.event.ref.event_id: each for each in events}
        process = self.processes[f"{OPERATOR}-{number}"] = _Process(self, f"{OPERATOR}-{number}")
        self.world.spawn(process, self._adjust(process.name, Batch(events=events)))
        self.world.loop.run_ready()

    async def _adjust(self, name: str, batch: Batch) -> None:
        """Post until there is an answer: the same ids again are safe."""
        pool: Any = postgres.Pool(self.postgres, HANDLERS)
        poster = Poster(pool, self.programs, SHARDS)
        while True:
            try:
                await poster.post(batch)
            except CONNECTION_ERRORS:
                continue
            except Exception as error:
                self.broken.append(f"{name}: {error!r}")
            return

    def operators(self) -> list[Process]:
        """The operators who wait for an answer."""
        return [process for process in self.alive() if process.name.startswith(OPERATOR)]

    def alive(self) -> list[Process]:
        """The processes that are not dead."""
        return [process for process in self.processes.values() if process.alive and process.tasks]


class _Process(Process):
    def __init__(self, system: System, name: str) -> None:
        super().__init__(system.world, name)
        self.system = system


def _system() -> System:
    process = current()
    assert isinstance(process, _Process)
    return process.system


async def _open_pool(*_: Any, **__: Any) -> postgres.Pool:
    return postgres.Pool(_system().postgres, HANDLERS)


def _consumer(*, group_id: str | None = None, isolation_level: str = "read_uncommitted", **_: Any) -> kafka.Consumer:
    return kafka.Consumer(_system().kafka, group_id, isolation_level)


def _producer(*, transactional_id: str, **_: Any) -> kafka.Producer:
    return kafka.Producer(_system().kafka, transactional_id)


class _InputLog:
    """The ends of the inputs."""

    def __init__(self, settings: Settings) -> None:
        self._kafka = _system().kafka

    async def open(self) -> None:
        """Nothing to connect to."""

    async def close(self) -> None:
        """Nothing to close."""

    async def ends(self) -> dict[Any, int]:
        partitions = self._kafka.partitions(*INPUTS)
        return await kafka.Consumer(self._kafka, None, "read_uncommitted").end_offsets(partitions)


class _RedisFactory:
    @staticmethod
    def from_url(*_: Any, **__: Any) -> redis.Redis:
        return redis.Redis(_system().redis)


async def _installation(_: Any) -> Installation:
    return INSTALLATION


async def _programs(_: Any) -> Programs:
    return _system().programs


async def _now_of(_: Any) -> Instant:
    return _system().now()


def _uuid4() -> UUID:
    return UUID(int=current().world.random.getrandbits(128))


class _Log:
    """What a worker would log goes into the trace."""

    def __getattr__(self, level: str) -> Callable[..., None]:
        def log(message: str, **fields: object) -> None:
            if level != "debug":
                process = current()
                process.world.say(process.name, f"({message}{''.join(f', {k}={v}' for k, v in fields.items())})")

        return log


@contextmanager
def stand_ins() -> Iterator[None]:
    """While it lasts, workers reach the stand-ins of the system whose process runs."""
    log = _Log()
    with ExitStack() as stack:
        for module, names in (
            (
                ingest_module,
                {
                    "open_pool": _open_pool,
                    "AIOKafkaConsumer": _consumer,
                    "read_installation": _installation,
                    "load_programs": _programs,
                    "log": log,
                },
            ),
            (
                publisher_app,
                {
                    "open_pool": _open_pool,
                    "AIOKafkaConsumer": _consumer,
                    "read_installation": _installation,
                    "log": log,
                },
            ),
            (budgets_module, {"uuid4": _uuid4, "LEASE_PARTS": 1}),
            (share_module, {"AIOKafkaProducer": _producer, "log": log}),
            (positions_module, {"AIOKafkaConsumer": _consumer}),
            (cache_module, {"log": log}),
            (balances_module, {"Redis": _RedisFactory}),
            (
                expiry_app,
                {
                    "open_pool": _open_pool,
                    "read_installation": _installation,
                    "load_programs": _programs,
                    "InputLog": _InputLog,
                    "now_of": _now_of,
                    "log": log,
                },
            ),
        ):
            for name, replacement in names.items():
                stack.enter_context(patch.object(module, name, replacement))
        yield
