"""`pointstream verify`: whether everything agrees, for a person and for a script."""

import asyncio
from dataclasses import asdict
from typing import Annotated

import orjson
import typer
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars
from rich.table import Column
from rich.text import Text

from services.cli.config import BIGINT_MAX, console, errors, load_settings
from services.cli.tables import Table
from services.cli.verify.result import Verification
from services.cli.verify.run import UnreachableError, verify
from shared.ledger.installation import InstallationError

DIFFERS = 1
UNUSABLE = 2
"""Exit codes: something does not agree; or it could not be found out."""


def command(
    since: Annotated[
        int,
        typer.Option("--since", min=0, max=BIGINT_MAX, help="Only what was posted behind this position of each shard."),
    ] = 0,
    no_topic: Annotated[bool, typer.Option("--no-topic", help="Do not read points-changed.")] = False,
    no_redis: Annotated[bool, typer.Option("--no-redis", help="Do not read Redis.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for a program to read.")] = False,
    installation: Annotated[
        str | None, typer.Option("--installation", help="Which installation; POINTSTREAM_INSTALLATION unless given.")
    ] = None,
) -> None:
    """Verify that movements, balances, open lots, Redis and points-changed say the same, and that nothing is missing.

    It looks at one moment of the ledger, so events may flow meanwhile. Exits with 0 when everything agrees, with 1 when
    something does not, and with 2 when that could not be found out.
    """
    try:
        settings = load_settings(installation=installation)
    except typer.Exit as end:
        raise typer.Exit(UNUSABLE) from end
    columns = (TextColumn("{task.description:6}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    try:
        with Bars(*columns, console=errors, transient=True) as bars:
            found = asyncio.run(
                verify(settings, since=since, topic=not no_topic, redis=not no_redis, progress=_Shown(bars))
            )
    except (UnreachableError, InstallationError) as error:
        errors.print(str(error), style="red", highlight=False, markup=False)
        raise typer.Exit(UNUSABLE) from error
    if as_json:
        typer.echo(orjson.dumps({"clean": found.clean} | asdict(found), option=orjson.OPT_INDENT_2))
    else:
        _show(found)
    if not found.clean:
        raise typer.Exit(DIFFERS)


class _Shown:
    """A bar for each part."""

    def __init__(self, bars: Bars) -> None:
        self._bars = bars
        self._tasks: dict[str, TaskID] = {}

    def start(self, part: str, total: int) -> None:
        self._tasks[part] = self._bars.add_task(part, total=total)

    def advance(self, part: str, steps: int) -> None:
        self._bars.advance(self._tasks[part], steps)


def _show(found: Verification) -> None:
    table = Table("check", Column("compared", justify="right"), "", Column("differences", justify="right"))
    for checked in found.checks:
        differences = Text(f"{checked.found:,}", style="bold red" if checked.found else "green")
        table.add_row(checked.check.value, f"{checked.compared:,}", checked.unit, differences)
    console.print(table)
    if found.clean:
        console.print("[bold green]Everything agrees.")
        return
    first = Table("check", "what does not agree", "shows more")
    for difference in found.differences:
        first.add_row(difference.check.value, Text(difference.sentence), Text(difference.more))
    console.print(first)
