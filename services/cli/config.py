"""The settings of a command: from the environment, else the local stack's addresses."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import NoReturn

import asyncpg
import typer
from pydantic import ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import SettingsError
from rich.console import Console

from deploy import stack
from shared.contracts.defect import path_of
from shared.domain.time import Instant, instant_of
from shared.ledger.database import CONNECTION_ERRORS
from shared.settings import Settings

console = Console()
errors = Console(stderr=True)

BIGINT_MAX = 2**63 - 1
"""The largest number that PostgreSQL has for a position or a letter."""

POSTGRES_ERRORS: tuple[type[BaseException], ...] = (*CONNECTION_ERRORS, asyncpg.InvalidAuthorizationSpecificationError)
"""What says that a command cannot get to PostgreSQL: it is away, or takes neither this user nor this password."""


def fail(message: str) -> NoReturn:
    """Say what is wrong on standard error and end with exit code 1."""
    errors.print(message, style="red", highlight=False, markup=False)
    raise typer.Exit(1)


def fail_at_postgres(error: BaseException, then: str = "`pointstream stack status` shows what runs.") -> NoReturn:
    """Say why PostgreSQL could not be reached, and what to do then, and end the command."""
    said = str(error) or repr(error)
    if isinstance(error, asyncpg.InvalidAuthorizationSpecificationError):
        fail(f"PostgreSQL lets nobody in like this: {said}. Correct POINTSTREAM_POSTGRES.")
    fail(f"PostgreSQL does not answer: {said}\n{then}")


def first_settings() -> Settings:
    """Settings of before the servers are up, with any address of theirs."""
    return _read_settings(Settings)


def load_settings(*, installation: str | None = None, program: Path | None = None) -> Settings:
    """Settings for a command; ends it with a message when nobody has said where the servers are."""
    found = stack.addresses(stack.home())
    if found is None:
        fail("Kafka, PostgreSQL and Redis do not run here. Start them with `pointstream stack up`.")
    changes: dict[str, object] = {}
    if installation is not None:
        changes["installation"] = installation
    if program is not None:
        changes["program"] = program

    def read() -> Settings:
        settings = Settings(kafka=found.kafka, postgres=found.postgres, redis=found.redis)
        return Settings.model_validate(settings.model_dump(exclude_unset=True) | changes)

    return _read_settings(read)


def _read_settings(read: Callable[[], Settings]) -> Settings:
    """What `read` gives; ends the command with every variable that is wrong."""
    try:
        return read()
    except SettingsError as error:
        fail(f"POINTSTREAM_…: {error}; it takes JSON")
    except ValidationError as error:
        fail("\n".join(_told(item) for item in error.errors()))


def _told(error: ErrorDetails) -> str:
    """What is wrong with a setting, by its variable."""
    setting, *within = error["loc"]
    return f"{path_of((f'POINTSTREAM_{setting}'.upper(), *within))}: {error['msg'].removeprefix('Value error, ')}"


def instant_option(text: str, option: str) -> Instant:
    """The instant that an option gives; ends the command when it is none."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        fail(f"{option}: {text!r} is no instant; write it like 2026-12-31T16:00:00Z")
    if moment.tzinfo is None:
        fail(f"{option}: {text!r} has no offset; write it like 2026-12-31T16:00:00Z")
    return instant_of(moment)
