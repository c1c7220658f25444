"""What the commands that read the ledger share: getting to it, and saying so where that fails."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

import asyncpg
import orjson
import typer

from services.cli.config import POSTGRES_ERRORS, fail, fail_at_postgres
from shared.ledger.installation import InstallationError
from shared.reads.reader import LedgerAwayError, Reader, open_reader
from shared.settings import Settings

T = TypeVar("T")

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for a program to read.")]
InInstallation = Annotated[
    str | None, typer.Option("--installation", help="Which installation; POINTSTREAM_INSTALLATION unless given.")
]

_AWAY: tuple[type[BaseException], ...] = (*POSTGRES_ERRORS, LedgerAwayError)


def reading(settings: Settings, work: Callable[[Reader], Awaitable[T]]) -> T:
    """Read something; ends the command with what is wrong where there is nothing to read from."""

    async def opened() -> T:
        reader = await open_reader(settings)
        try:
            return await work(reader)
        finally:
            await reader.close()

    try:
        return asyncio.run(opened())
    except InstallationError as error:
        fail(str(error))
    except asyncpg.InvalidCatalogNameError:
        fail(f"There is no installation {settings.installation!r} here. `pointstream init` makes it.")
    except _AWAY as error:
        fail_at_postgres(error)


def echo_json(document: object) -> None:
    """Print a document for a program."""
    typer.echo(orjson.dumps(document, option=orjson.OPT_INDENT_2))
