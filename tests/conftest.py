"""One stack for the whole run, and a fresh installation for each test that asks for one.

A run may be of several processes (`make test`). They share the run's folder, and in it the stack; tests that stop or
flush servers have a stack of their own there.
"""

import asyncio
import os
import secrets
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

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
RUN_FOLDER = pytest.StashKey[Path]()
LONGEST = ("test_faults.py", "test_compiled_core.py", "test_planted.py", "test_simulation.py")
SHARDS = 4
"""Fewer than an installation has: a test makes its topics in a fraction of a second."""

# A console takes its width from here when it is made, before a test can say another one. Who began the run may have set
# it: readline does, for the processes that are started after it was loaded.
os.environ.pop("COLUMNS", None)
quiet_libraries()
# A command's results are read from standard output, while workers of the same process log.
structlog.configure(logger_factory=structlog.WriteLoggerFactory(file=sys.__stderr__))


def pytest_configure(config: pytest.Config) -> None:
    """Name the run's folder. A process that belongs to a run is told its name by the one that began it."""
    given = getattr(config, "workerinput", {}).get("run_folder")
    config.stash[RUN_FOLDER] = Path(given) if given else PROJECT / ".pointstream" / f"tests-{os.getpid()}"


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a process of this run where its folder is."""
    node.workerinput["run_folder"] = str(node.config.stash[RUN_FOLDER])


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first: each is run by one process, which would else be the last one at work."""
    items.sort(key=lambda item: item.path.name not in LONGEST)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove the run's stacks when all of its processes have ended, whatever they ended by."""
    folder = config.stash[RUN_FOLDER]
    if hasattr(config, "workerinput") or not folder.exists():
        return
    for root in folder.iterdir():
        local_stack.down(root, wipe=True, say=_say_nothing)
    folder.rmdir()


def _say_nothing(line: str) -> None:
    """What stacks say is for people who bring one up."""


@pytest.fixture(scope="session")
def run_folder(pytestconfig: pytest.Config) -> Path:
    """The folder of the run's stacks, each in a folder of its own. They are removed when the run ends."""
    return pytestconfig.stash[RUN_FOLDER]


@pytest.fixture(scope="session")
def stack(run_folder: Path) -> Addresses:
    """Kafka, PostgreSQL and Redis: those of the environment, else a stack that all processes of the run share. The
    first one that needs it brings it up."""
    return local_stack.up(run_folder / "shared", _say_nothing)


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
