"""What the commands of operators share: options, and getting to the desk."""

import asyncio
import getpass
import os
from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

import asyncpg
import typer

from services.cli.config import POSTGRES_ERRORS, errors, fail, fail_at_postgres
from services.cli.interrupting import INTERRUPTED
from shared.contracts.program import ProgramError
from shared.ledger.desk import Desk, open_desk
from shared.ledger.imports import ImportRefusedError
from shared.ledger.installation import InstallationError
from shared.ledger.proposals import ProposalError
from shared.operators import ACTOR_CHARS_MAX, Operator, OperatorRole
from shared.settings import Settings

T = TypeVar("T")

WHY_CHARS_MAX = 500
"""A sentence or two, as the contract of adjustments has it."""

By = Annotated[str | None, typer.Option("--by", help="Who does this; the user of this machine unless given.")]
InRole = Annotated[OperatorRole, typer.Option("--role", help="In which role; the settings name the limit of each.")]
Reason = Annotated[str, typer.Option("--reason", help="Why. It is kept.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for a program to read.")]
InInstallation = Annotated[
    str | None, typer.Option("--installation", help="Which installation; POINTSTREAM_INSTALLATION unless given.")
]


def operator(by: str | None, role: OperatorRole) -> Operator:
    """Who acts."""
    if by is None:
        try:
            by = getpass.getuser()
        except (KeyError, OSError):
            by = f"user {os.getuid()}"
    return Operator(_text(by, "--by", ACTOR_CHARS_MAX), role)


def reason_option(reason: str) -> str:
    """A reason that says something; ends the command when it does not."""
    return _text(reason, "--reason", WHY_CHARS_MAX)


def _text(text: str, option: str, chars_max: int) -> str:
    if not text.strip() or len(text) > chars_max or "\0" in text:
        fail(f"{option}: say something, in up to {chars_max} characters; it is kept for those who come after you.")
    return text


def at_desk(settings: Settings, work: Callable[[Desk], Awaitable[T]], *, again: str) -> T:
    """Do something at the operators' desk; or end the command. `again` says what to do after an outage."""

    async def opened() -> T:
        async with open_desk(settings.database) as desk:
            return await work(desk)

    try:
        return asyncio.run(opened())
    except (ProposalError, ImportRefusedError) as error:
        fail(f"Not done: {error}.".replace("..", "."))
    except (InstallationError, ProgramError) as error:
        fail(str(error))
    except asyncpg.InvalidCatalogNameError:
        fail(f"There is no installation {settings.installation!r} here. `pointstream init` makes it.")
    except KeyboardInterrupt:
        errors.print(f"Stopped. {again}", highlight=False, markup=False)
        raise typer.Exit(INTERRUPTED) from None
    except POSTGRES_ERRORS as error:
        fail_at_postgres(error, again)
