"""One stack for the whole session, and a fresh installation for each test that asks for one."""

import asyncio
import os
import secrets
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
import structlog

from deploy import stack as local_stack
from deploy.stack import Addresses
from shared.ledger.database import Pool, Role
from shared.ledger.installation import Clock, create_database, drop_database, migrate
from shared.logging import quiet_libraries
from shared.settings import Settings
from shared.setup import fill, open_ledger
from shared.stream.topics import create_topics, delete_topics
from tests.support.installing import Make

PROJECT = Path(__file__).parent.parent
GROCERY = PROJECT / "programs" / "grocery.yaml"
SHARDS = 4
"""Fewer than an installation has: a test makes its topics in a fraction of a second."""

quiet_libraries()
# A command's results are read from standard output, while workers of the same process log.
structlog.configure(logger_factory=structlog.WriteLoggerFactory(file=sys.__stderr__))


@pytest.fixture(scope="session")
def stack() -> Iterator[Addresses]:
    """Kafka, PostgreSQL and Redis: those of the environment, else a stack of the tests' own that goes with them."""
    root = PROJECT / ".pointstream" / f"tests-{os.getpid()}"
    addresses = local_stack.up(root, lambda line: None)
    yield addresses
    local_stack.down(root, wipe=True, say=lambda line: None)


@pytest.fixture(scope="session")
async def template(stack: Addresses) -> AsyncIterator[str]:
    """A migrated database, from which each test's own is cloned."""
    name = f"template_{secrets.token_hex(4)}"
    server = Settings(postgres=stack.postgres, installation=name)
    await create_database(stack.postgres, name)
    await migrate(server.database)
    yield name
    await drop_database(stack.postgres, name)


@pytest.fixture
async def make_installation(stack: Addresses, template: str) -> AsyncIterator[Make]:
    """Makes installations, and removes them after the test."""
    async with installations(stack, template) as make:
        yield make


@pytest.fixture(scope="module")
async def make_installations(stack: Addresses, template: str) -> AsyncIterator[Make]:
    """Makes installations, and removes them after the tests of a module."""
    async with installations(stack, template) as make:
        yield make


@asynccontextmanager
async def installations(stack: Addresses, template: str) -> AsyncIterator[Make]:
    async with AsyncExitStack() as cleanup:

        async def make(
            program: str | None = None, clock: Clock = Clock.LIVE, shards: int = SHARDS, topics: bool = False
        ) -> Settings:
            settings = Settings(
                installation=f"t_{secrets.token_hex(4)}",
                kafka=stack.kafka,
                postgres=stack.postgres,
                redis=stack.redis,
                program=GROCERY,
                session_timeout_ms=6_000,
                batch_wait_ms=20,
                sweep_poll_ms=50,
            )
            await create_database(stack.postgres, settings.installation, template)
            cleanup.push_async_callback(drop_database, stack.postgres, settings.installation)
            await fill(settings, program or GROCERY.read_text(), "program", clock, shards)
            if topics:
                await create_topics(settings, shards, clock)
                cleanup.push_async_callback(delete_topics, settings)
            return settings

        yield make


@pytest.fixture
async def settings(make_installation: Make) -> Settings:
    """A fresh live installation with the grocer's program and without topics."""
    return await make_installation()


@pytest.fixture
async def ledger(settings: Settings) -> AsyncIterator[Pool]:
    """The fresh installation's ledger, as a worker sees it."""
    async with open_ledger(settings, Role.WRITER) as pool:
        yield pool


Condition = Callable[[], Awaitable[bool]]


@pytest.fixture
def until() -> Callable[[Condition], Awaitable[None]]:
    """Waits for a condition; a test fails when it does not come true in time."""

    async def wait(condition: Condition) -> None:
        async with asyncio.timeout(30):
            while not await condition():
                await asyncio.sleep(0.02)

    return wait
