"""One round: an installation of its own, the events, a fault at moments drawn from the seed, and the check."""

import asyncio
import random
import secrets
import shutil
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from shared.ledger.installation import Clock, create_database, drop_database, migrate
from shared.settings import Settings
from shared.setup import fill
from shared.stream.topics import create_topics, delete_topics
from tests.fault.check import differences
from tests.fault.content import Content, content_of_simulation
from tests.fault.events import PROGRAM, SHARDS, Events, make_events
from tests.fault.faults import REDIS_FORGETS, STRIKES, Fault
from tests.fault.scene import Scene
from tests.fault.servers import Servers
from tests.fault.workers import Team

FAULTS = tuple(fault for fault in Fault if fault is not Fault.NONE)

WATCH_EVERY_S = 0.2


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a round."""

    seed: int
    fault: Fault
    when: str
    seconds: float
    failures: list[str]
    """What went wrong, or differs from an undisturbed run; empty when all is well."""


@dataclass(frozen=True, slots=True)
class Ring:
    """What all rounds share: servers, a migrated database, the events and what they come to."""

    servers: Servers
    template: str
    events: Events
    expected: Content
    folder: Path
    """Where a round that failed leaves the logs of its workers."""
    outages_s: Sequence[float]
    """How long PostgreSQL may stay away, in seconds."""


def fault_of(seed: int) -> Fault:
    """Each fault as often as any other, for seeds that follow each other."""
    return FAULTS[seed % len(FAULTS)]


@asynccontextmanager
async def prepared(servers: Servers, folder: Path, outages_s: Sequence[float]) -> AsyncIterator[Ring]:
    """Make ready what all rounds share."""
    template = f"template_{secrets.token_hex(4)}"
    await create_database(servers.addresses.postgres, template)
    await migrate(Settings(postgres=servers.addresses.postgres, installation=template).database)
    events = make_events()
    yield Ring(servers, template, events, content_of_simulation(events.simulate(), events.told_by), folder, outages_s)


async def play(ring: Ring, seed: int, fault: Fault | None = None) -> Outcome:
    """Play the round of a seed, with its own fault or a given one."""
    fault = fault_of(seed) if fault is None else fault
    began_s = time.monotonic()
    logs = ring.folder / f"{seed}-{fault.name.lower()}"
    shutil.rmtree(logs, ignore_errors=True)
    logs.mkdir(parents=True)
    settings = _settings(ring.servers)
    team = Team(logs)
    scene = Scene(
        settings,
        ring.servers,
        team,
        ring.events,
        len(ring.expected.postings),
        random.Random(f"{seed} {fault}"),
        ring.outages_s,
    )
    try:
        await _install(settings, ring.template)
        failures = await _play(scene, fault)
        if not failures:
            failures = await differences(
                settings,
                ring.expected,
                cache_is_whole=fault not in REDIS_FORGETS,
                sent_again=scene.sent_again,
            )
            if scene.sent_again:
                scene.told.append(f"{scene.sent_again} messages sent again by their producer")
    except Exception as error:
        failures = [f"{type(error).__name__}: {error}"]
    finally:
        await team.end()
        await scene.close()
        await ring.servers.start()
        await _remove(settings, scene)
    if not failures:
        shutil.rmtree(logs)
    return Outcome(seed, fault, "; ".join(scene.told), time.monotonic() - began_s, failures)


async def _play(scene: Scene, fault: Fault) -> list[str]:
    """Feed, strike, and wait until all is at rest; a worker that ends by itself ends the round."""
    feeding = asyncio.create_task(scene.feed())
    striking = asyncio.create_task(_strike(scene, fault))
    watching = asyncio.create_task(_watch(scene.team))
    tasks = {feeding, striking, watching}
    try:
        while not (feeding.done() and striking.done()):
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            tasks -= done
            failures = [error for task in done if (error := task.exception())]
            if failures:
                return [f"{type(error).__name__}: {error}" for error in failures]
        scene.team.check()
        return []
    finally:
        for task in (feeding, striking, watching):
            task.cancel()
        await asyncio.gather(feeding, striking, watching, return_exceptions=True)


async def _strike(scene: Scene, fault: Fault) -> None:
    await STRIKES[fault](scene)
    await scene.until_at_rest()


async def _watch(team: Team) -> None:
    while True:
        team.check()
        await asyncio.sleep(WATCH_EVERY_S)


def _settings(servers: Servers) -> Settings:
    """Small batches and transactions, so that there are many moments between them."""
    return Settings(
        installation=f"f_{secrets.token_hex(4)}",
        kafka=servers.addresses.kafka,
        postgres=servers.addresses.postgres,
        redis=servers.addresses.redis,
        session_timeout_ms=3_000,
        batch_events_max=40,
        batch_wait_ms=50,
        publish_postings_max=320,
        publish_pause_ms=60,
        sweep_accounts_max=25,
        sweep_poll_ms=100,
    )


async def _install(settings: Settings, template: str) -> None:
    await create_database(settings.postgres, settings.installation, template)
    await fill(settings, PROGRAM, "program", Clock.REPLAY, SHARDS)
    await create_topics(settings, SHARDS, Clock.REPLAY)


async def _remove(settings: Settings, scene: Scene) -> None:
    await drop_database(settings.postgres, settings.installation)
    await delete_topics(settings)
    redis = scene.redis()
    await redis.flushall()
    await redis.aclose()
