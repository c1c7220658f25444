"""`pointstream program`: check a program document, see what it says and changes, and put it in force."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, TypeVar

import asyncpg
import orjson
import typer

from services.cli.config import POSTGRES_ERRORS, console, fail, fail_at_postgres, instant_option, load_settings
from services.cli.program_words import Words, changes, explained
from services.cli.tables import Table
from shared.contracts.program import ProgramDocument, ProgramError, parse_program, read_program
from shared.domain.time import rfc3339
from shared.ledger.database import Connection, Role
from shared.ledger.installation import InstallationError
from shared.ledger.programs import read_registered, register_program
from shared.setup import open_ledger

T = TypeVar("T")

app = typer.Typer(no_args_is_help=True, help="The program: check it, see what it says and changes, put it in force.")

File = Annotated[Path, typer.Argument(help="A program document.")]
Which = Annotated[str, typer.Argument(help="A program document, or the number of a registered version.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for a program to read.")]
Installation = Annotated[
    str | None, typer.Option("--installation", help="Which installation; POINTSTREAM_INSTALLATION unless given.")
]


@app.command(epilog="Example: pointstream program validate programs/grocery.yaml")
def validate(files: Annotated[list[Path], typer.Argument(help="Program documents.")]) -> None:
    """Check documents. Says every path that is wrong; exits with 1 when one cannot be used."""
    failed = False
    for file in files:
        try:
            document, _ = read_program(file)
        except ProgramError as error:
            failed = True
            typer.echo(str(error), err=True)
        else:
            typer.echo(f"{file}: {document.program}, version {document.version}, can be used.")
    if failed:
        raise typer.Exit(1)


@app.command(epilog="Example: pointstream program explain programs/grocery.yaml")
def explain(which: Which, as_json: AsJson = False, installation: Installation = None) -> None:
    """Say in words what a program gives to whom."""
    _say(explained(_document(which, installation)), as_json)


@app.command(epilog="Example: pointstream program diff 1 programs/grocery.yaml")
def diff(old: Which, new: Which, as_json: AsJson = False, installation: Installation = None) -> None:
    """Say in words what changes from one program to another, and for whom."""
    before, after = _document(old, installation), _document(new, installation)
    _say_changes(before, after, as_json)


@app.command("list", epilog="Example: pointstream program list --json")
def list_versions(as_json: AsJson = False, installation: Installation = None) -> None:
    """Show the registered versions, and when each is in force."""
    versions = _ask(installation, read_registered)
    rows = []
    for index, version in enumerate(versions):
        until = versions[index + 1].effective_from if index + 1 < len(versions) else None
        rows.append(
            {
                "version": version.document.version,
                "program": version.document.program,
                "from": rfc3339(version.effective_from),
                "until": None if until is None else rfc3339(until),
                "registered_at": rfc3339(version.registered_at),
            }
        )
    if as_json:
        typer.echo(orjson.dumps(rows, option=orjson.OPT_INDENT_2))
        return
    table = Table("version", "program", "in force from", "until", "registered")
    for row in rows:
        table.add_row(*(str(value or "") for value in row.values()))
    console.print(table)


@app.command(epilog="Example: pointstream program show 1 > grocery.yaml")
def show(
    version: Annotated[int, typer.Argument(help="The number of a registered version.", min=1)],
    installation: Installation = None,
) -> None:
    """Print a registered version as it was written."""
    typer.echo(_text(version, installation), nl=False)


@app.command(epilog="Example: pointstream program activate summer.yaml --at 2027-06-01T00:00:00-04:00 --dry-run")
def activate(
    file: File,
    at: Annotated[
        str | None, typer.Option("--at", help="From when it decides; the document's effective_from unless given.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything, and change nothing.")] = False,
    installation: Installation = None,
) -> None:
    """Register a version: it decides what happens from its first instant on. Running workers need no restart.

    A version never changes once it is registered, and must be before anything can happen that it decides. With --at,
    the document is registered with that instant as its effective_from.
    """
    try:
        document, text = read_program(file)
        if at is not None:
            text = _with_instant(text, at)
            document = parse_program(text, str(file))
    except ProgramError as error:
        fail(str(error))

    async def register(connection: Connection) -> ProgramDocument | None:
        known = [version.document for version in await read_registered(connection)]
        await register_program(connection, text, str(file), only_check=dry_run)
        others = [one for one in known if one.version < document.version]
        return others[-1] if others else None

    last = _ask(installation, register, Role.WRITER)
    if last is not None:
        _say_changes(last, document, as_json=False)
    done = "can be registered, and would decide" if dry_run else "is registered. It decides"
    typer.echo(f"Version {document.version} {done} what happens from {document.effective_from.isoformat()} on.")


def _with_instant(text: str, at: str) -> str:
    """The document with another effective_from."""
    instant_option(at, "--at")  # ends the command where it is none
    changed, count = re.subn(r"(?m)^effective_from:.*$", f'effective_from: "{at}"', text.replace("\r\n", "\n"))
    if count != 1:
        fail("--at: the document must have its effective_from in one line at its top level")
    return changed


def _document(which: str, installation: str | None) -> ProgramDocument:
    try:
        if re.fullmatch("[0-9]{1,9}", which):
            return parse_program(_text(int(which), installation), f"version {which}")
        return read_program(Path(which))[0]
    except ProgramError as error:
        fail(str(error))


def _text(version: int, installation: str | None) -> str:
    found = {one.document.version: one.text for one in _ask(installation, read_registered)}
    if version not in found:
        fail(f"There is no version {version}; registered are {', '.join(map(str, found)) or 'none'}.")
    return found[version]


def _say(words: Words, as_json: bool) -> None:
    if as_json:
        typer.echo(orjson.dumps(words, option=orjson.OPT_INDENT_2))
        return
    for about, lines in words.items():
        console.print(about, style="bold")
        for line in lines:
            console.print(f"  {line}", highlight=False, markup=False)


def _say_changes(old: ProgramDocument, new: ProgramDocument, as_json: bool) -> None:
    words = changes(old, new)
    _say(words, as_json)
    if not as_json and not words:
        typer.echo(f"Nothing that version {old.version} gives changes.")


def _ask(installation: str | None, work: Callable[[Connection], Awaitable[T]], role: Role = Role.READER) -> T:
    """Do something with the programs of an installation, or end the command with what is wrong."""
    settings = load_settings(installation=installation)

    async def opened() -> T:
        async with open_ledger(settings, role) as pool, pool.acquire() as connection:
            return await work(connection)

    try:
        return asyncio.run(opened())
    except (InstallationError, ProgramError) as error:
        fail(str(error))
    except (asyncpg.InvalidCatalogNameError, asyncpg.UndefinedTableError):
        fail(f"There is no installation {settings.installation!r} here. `pointstream init` makes it.")
    except asyncpg.LockNotAvailableError:
        fail("The workers did not let the programs go in time; nothing was changed. Try again in a moment.")
    except POSTGRES_ERRORS as error:
        fail_at_postgres(error)
