"""`pointstream run`, `init` and `up`: the processes of an installation."""

import asyncio
import importlib
import signal
from collections.abc import Awaitable
from pathlib import Path
from typing import Annotated

import asyncpg
import structlog
import typer
from aiokafka.errors import KafkaError

from deploy import stack
from services.cli.config import (
    POSTGRES_ERRORS,
    console,
    errors,
    fail,
    fail_at_postgres,
    first_settings,
    load_settings,
)
from services.cli.processes import Worker, WorkerEndedError, running
from shared.contracts.program import ProgramError, read_program
from shared.core import core
from shared.ledger.database import CONNECTION_ERRORS, Role
from shared.ledger.installation import Clock, InstallationError, read_installation
from shared.ledger.programs import load_programs
from shared.listening import PortTakenError, listen
from shared.logging import configure_logging
from shared.metrics import Process
from shared.monitor import HOST
from shared.settings import Settings
from shared.setup import open_ledger, set_up

ALL = "all"

log = structlog.get_logger()

ProgramFile = Annotated[
    Path | None,
    typer.Option("--program", help="The program to decide by; POINTSTREAM_PROGRAM or the grocer's unless given."),
]
Installation = Annotated[
    str | None, typer.Option("--installation", help="Which installation; POINTSTREAM_INSTALLATION unless given.")
]


def init(program: ProgramFile = None, installation: Installation = None) -> None:
    """Make an installation: its database, its program and its topics. Doing it again changes nothing."""
    settings = load_settings(installation=installation, program=program)
    prepare(settings)
    console.print(f"Installation [bold]{settings.installation}[/] is ready, with the program {settings.program}.")


def prepare(settings: Settings, clock: Clock = Clock.LIVE) -> None:
    """Set an installation up, or end the command with what is wrong."""
    try:
        asyncio.run(set_up(settings, settings.program, clock))
    except (ProgramError, InstallationError) as error:
        fail(str(error))
    except POSTGRES_ERRORS as error:
        fail_at_postgres(error)
    except KafkaError as error:
        fail(f"Kafka does not answer: {error}\n`pointstream stack status` shows what runs.")


def run(
    worker: Annotated[str, typer.Argument(help="earn, publisher, expiry, api or all")],
    installation: Installation = None,
) -> None:
    """Run a worker in the foreground, or all of them; Ctrl-C stops it."""
    settings = load_settings(installation=installation)
    if worker == ALL:
        _check_api_port(settings)
        raise typer.Exit(run_all(settings))
    if worker not in list(Worker):
        fail(f"{worker!r} is no worker; say {', '.join(Worker)} or {ALL}")
    asyncio.run(_check(settings))
    configure_logging(worker)
    log.info("starting", core=core())
    importlib.import_module(f"services.{worker}.app").run(settings)


async def _check(settings: Settings) -> None:
    """End the command where there is no installation. Where PostgreSQL is away, the worker waits for it by itself."""
    try:
        async with open_ledger(settings, Role.READER) as pool:
            await read_installation(pool)
            await load_programs(pool)
    except (asyncpg.InvalidCatalogNameError, asyncpg.UndefinedTableError, asyncpg.UndefinedObjectError):
        fail(f"There is no installation {settings.installation!r} yet; make it with `pointstream init`")
    except InstallationError as error:
        fail(str(error))
    except asyncpg.InvalidAuthorizationSpecificationError as error:
        fail_at_postgres(error)
    except CONNECTION_ERRORS:
        return


def up(program: ProgramFile = None, installation: Installation = None) -> None:
    """Bring up the stack and all workers, and say how to try them; Ctrl-C stops the workers."""
    early = first_settings()
    _check_api_port(early)
    try:
        read_program(program or early.program)
        stack.up(stack.home(), lambda line: errors.print(line, highlight=False))
    except (ProgramError, stack.StackError) as error:
        fail(str(error))
    settings = load_settings(installation=installation, program=program)
    prepare(settings)
    console.print(
        f"""
[bold]Pointstream is coming up.[/] Kafka {settings.kafka} · API http://127.0.0.1:{settings.api_port}
Metrics, and /health/live and /health/ready beside them: {metrics_addresses(settings)}

Try, in another terminal:
  .venv/bin/pointstream order alice 59.90      a paid order, as a shop would publish it
  .venv/bin/pointstream member alice           what it came to, and why
  curl http://127.0.0.1:{settings.api_port}/v1/members/alice/balance

Ctrl-C stops the workers; `pointstream stack down` stops the servers.
"""
    )
    raise typer.Exit(run_all(settings))


def _check_api_port(settings: Settings) -> None:
    """End the command where the API could not be reached, before anything is started."""
    try:
        listen(settings.api_port).close()
    except PortTakenError as error:
        fail(f"Nothing was started: {error}")


def metrics_addresses(settings: Settings) -> str:
    """Where each process tells its metrics, unless the port is taken; the logs say so then."""
    ports = ((process, settings.metrics_port(process)) for process in Process)
    return " · ".join(
        f"{process} http://{HOST}:{port}/metrics" if port else f"{process} on a free port, see its log"
        for process, port in ports
    )


def run_all(settings: Settings) -> int:
    """Run all workers until Ctrl-C or SIGTERM; the exit code says whether one of them ended by itself."""

    async def supervise() -> None:
        async with running(list(Worker), settings, log_level="info") as children:
            await children.until_one_ends()

    try:
        asyncio.run(until_signal(supervise()))
    except WorkerEndedError as error:
        errors.print(str(error), style="red", highlight=False)
        return 1
    return 0


async def until_signal(work: Awaitable[None]) -> None:
    """Do something until it is done, or until SIGINT or SIGTERM, which cancel it and are then no error."""
    task = asyncio.ensure_future(work)
    loop = asyncio.get_running_loop()
    told = asyncio.Event()

    def stop() -> None:
        told.set()
        task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    try:
        await task
    except asyncio.CancelledError:
        if not told.is_set():
            raise
