"""The settings of a command: from the environment, else the local stack's addresses."""

from datetime import datetime
from pathlib import Path
from typing import NoReturn

import typer
from pydantic import ValidationError
from pydantic_settings import SettingsError
from rich.console import Console

from deploy import stack
from shared.domain.time import Instant, instant_of
from shared.settings import Settings

console = Console()
errors = Console(stderr=True)


def fail(message: str) -> NoReturn:
    """Say what is wrong on standard error and end with exit code 1."""
    errors.print(message, style="red", highlight=False, markup=False)
    raise typer.Exit(1)


def load_settings(*, installation: str | None = None, program: Path | None = None) -> Settings:
    """Settings for a command; ends it with a message when nobody has said where the servers are."""
    found = stack.addresses(stack.home())
    if found is None:
        fail("Kafka, PostgreSQL and Redis do not run here. Start them with `pointstream stack up`.")
    try:
        settings = Settings(kafka=found.kafka, postgres=found.postgres, redis=found.redis)
        changes: dict[str, object] = {}
        if installation is not None:
            changes["installation"] = installation
        if program is not None:
            changes["program"] = program
        return Settings.model_validate(settings.model_dump() | changes)
    except SettingsError as error:
        fail(f"POINTSTREAM_…: {error}; it takes JSON")
    except ValidationError as error:
        fail("\n".join(f"POINTSTREAM_{item['loc'][0]!s}: {item['msg']}".upper() for item in error.errors()))


def instant_option(text: str, option: str) -> Instant:
    """The instant that an option gives; ends the command when it is none."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        fail(f"{option}: {text!r} is no instant; write it like 2026-12-31T16:00:00Z")
    if moment.tzinfo is None:
        fail(f"{option}: {text!r} has no offset; write it like 2026-12-31T16:00:00Z")
    return instant_of(moment)
