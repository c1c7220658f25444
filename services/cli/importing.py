"""`pointstream import`: opening balances out of a CSV file, all of which can be taken back as one."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Annotated, Any

import orjson
import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text
from typer.core import TyperGroup

from services.cli.config import console, errors, fail, load_settings
from services.cli.import_file import FileRefusedError
from services.cli.import_report import RowReport, points_in_words, say
from services.cli.import_work import Advance, Run, TakingBack
from services.cli.operating import AsJson, By, InInstallation, Reason, at_desk, operator, reason_option
from services.cli.plain import plain
from services.cli.tables import Table
from services.cli.wording import count
from shared.domain.ids import ImportId, Wallet
from shared.domain.time import rfc3339
from shared.ledger import imports
from shared.ledger.desk import Desk
from shared.ledger.imports import Import, ImportRefusedError, Revert
from shared.operators import OperatorRole

_IMPORT_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}")

AGAIN = "Run it again: it goes on where it broke off, and no row counts twice."


class _FileFirst(TyperGroup):
    """`pointstream import FILE` is `pointstream import run FILE`: what is no command is the file to run."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in {*self.commands, "--help"}:
            args = ["run", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_FileFirst,
    no_args_is_help=True,
    help="Opening balances out of a CSV file: pointstream import FILE. An import can be taken back as one.",
    epilog='Example: pointstream import opening.csv --wallet points --by ann --reason "opening balances" --dry-run',
)

DryRun = Annotated[bool, typer.Option("--dry-run", help="Do everything but post.")]


@app.command(
    epilog='Example: pointstream import opening.csv --by ann --reason "opening balances" --refused refused.csv'
)
def run(
    file: Annotated[Path, typer.Argument(help="CSV: member_id, points, and perhaps expires_on, wallet, reference.")],
    reason: Reason,
    wallet: Annotated[str, typer.Option("--wallet", help="The wallet of rows that name none.")] = "points",
    by: By = None,
    name: Annotated[
        str | None, typer.Option("--id", help="The import's id; the file's name without its ending unless given.")
    ] = None,
    dry_run: DryRun = False,
    refused: Annotated[
        Path | None, typer.Option("--refused", help="Write every refused row into this CSV file.")
    ] = None,
    as_json: AsJson = False,
    installation: InInstallation = None,
) -> None:
    """Give the members of a file their points, each row once, however often it is run. (`run` may be left out.)

    Exits with 1 when a row was refused. The others are posted then: mend the file in place, and run it again.
    """
    settings = load_settings(installation=installation)
    who, why = operator(by, OperatorRole.SUPERVISOR), reason_option(reason)
    import_id = _import_id(file.stem if name is None else name)
    if refused is not None and refused.exists() and file.exists() and refused.samefile(file):
        fail("--refused: this is the file of the import, which would be lost; name another one.")

    async def work(desk: Desk) -> Run:
        wanted = Import(import_id, Wallet(wallet), who.actor, why, file.name, await desk.now())
        async with imports.alone_with(desk.pool, import_id):
            running = Run(desk, await imports.find_import(desk.pool, wanted), report, dry_run=dry_run)
            with _bar("read", file.stat().st_size) as advance:
                await running.post_all(stream, advance)
        return running

    with _opened(file) as stream, RowReport(("line", "member_id", "reference", "reason"), refused) as report:
        try:
            done = at_desk(settings, work, again=AGAIN)
        except FileRefusedError as error:
            fail(f"{file}: {error}.")
    _say_run(done, report, as_json=as_json)
    if report.count:
        raise typer.Exit(1)


@app.command(epilog='Example: pointstream import revert opening --by ann --reason "the wrong file" --dry-run')
def revert(
    import_id: Annotated[str, typer.Argument(help="The import's id, as `import list` shows it.")],
    reason: Reason,
    by: By = None,
    dry_run: DryRun = False,
    kept: Annotated[
        Path | None, typer.Option("--kept", help="Write every row of which something is gone into this CSV file.")
    ] = None,
    as_json: AsJson = False,
    installation: InInstallation = None,
) -> None:
    """Take back what is left of an import's points, out of its own lots alone. What was spent stays, and is reported.

    Running it again goes on where it broke off. A reverted import cannot be run again.
    """
    settings = load_settings(installation=installation)
    who, why = operator(by, OperatorRole.SUPERVISOR), reason_option(reason)
    wanted = _import_id(import_id)

    async def work(desk: Desk) -> TakingBack:
        async with imports.alone_with(desk.pool, wanted):
            known = await imports.read_import(desk.pool, wanted)
            if known is None:
                raise ImportRefusedError(f"there is no import {wanted!r}; `pointstream import list` shows them")
            begun = known.revert or Revert(who.actor, why, await desk.now())
            taking = TakingBack(desk, known, begun, report, dry_run=dry_run)
            with _bar("rows", await imports.count_rows(desk.pool, wanted)) as advance:
                await taking.take_all(advance)
        return taking

    with RowReport(("member_id", "wallet", "row", "given", "taken_back"), kept) as report:
        done = at_desk(settings, work, again=AGAIN)
    _say_revert(done, report, as_json=as_json)


@app.command("list", epilog="Example: pointstream import list --json")
def list_imports(as_json: AsJson = False, installation: InInstallation = None) -> None:
    """List the imports, newest first."""

    async def work(desk: Desk) -> list[Import]:
        return await imports.list_imports(desk.pool)

    found = at_desk(load_settings(installation=installation), work, again="Nothing was changed.")
    if as_json:
        _echo([_document(each) for each in found])
    elif found:
        table = Table("id", "wallet", "file", "by", "reason", "begun", "taken back")
        for each in found:
            cells = [each.import_id, each.wallet, each.file_name, each.actor, each.reason, rfc3339(each.begun_at)[:16]]
            taken_back = "" if each.revert is None else f"{rfc3339(each.revert.begun_at)[:16]} by {each.revert.actor}"
            table.add_row(*(Text(plain(cell)) for cell in [*cells, taken_back]))
        console.print(table)
    else:
        console.print("There are no imports.")


def _document(each: Import) -> dict[str, object]:
    taken_back = each.revert
    return {
        "import_id": each.import_id,
        "wallet": each.wallet,
        "file_name": each.file_name,
        "actor": each.actor,
        "reason": each.reason,
        "begun_at": rfc3339(each.begun_at),
        "reverted": None
        if taken_back is None
        else {
            "actor": taken_back.actor,
            "reason": taken_back.reason,
            "begun_at": rfc3339(taken_back.begun_at),
        },
    }


def _say_run(done: Run, report: RowReport, *, as_json: bool) -> None:
    if as_json:
        _echo(
            {
                "import_id": done.of.import_id,
                "dry_run": done.dry_run,
                "rows": done.rows,
                "posted": done.posted,
                "points": done.points,
                "posted_before": done.before,
                "refused": report.count,
                "refused_rows": report.documents(),
            }
        )
        return
    report.show("Refused rows", "--refused")
    gave = "would give" if done.dry_run else "gave"
    end = " Nothing was posted." if done.dry_run else ""
    say(
        f"{done.of.import_id}: {count(done.rows, 'row')}. {done.posted:,} {gave} {points_in_words(done.points)};"
        f" {done.before:,} were posted before; {report.count:,} were refused.{end}"
    )


def _say_revert(done: TakingBack, report: RowReport, *, as_json: bool) -> None:
    if as_json:
        _echo(
            {
                "import_id": done.of.import_id,
                "dry_run": done.dry_run,
                "rows": done.rows,
                "taken_back": done.taken,
                "gone": done.left,
                "rows_with_points_gone": report.documents(),
            }
        )
        return
    report.show("Rows of which something was spent, has ended, or repaid a debt", "--kept")
    taken = "would be taken back" if done.dry_run else "taken back"
    end = " Nothing was posted." if done.dry_run else ""
    say(
        f"{done.of.import_id}: {points_in_words(done.taken)} of {count(done.rows, 'row')} {taken};"
        f" {points_in_words(done.left)} gone before.{end}"
    )


@contextmanager
def _opened(file: Path) -> Iterator[IO[bytes]]:
    try:
        stream = file.open("rb")
    except OSError as error:
        fail(f"{file} cannot be read: {error.strerror}")
    with stream:
        yield stream


@contextmanager
def _bar(what: str, total: int) -> Iterator[Advance]:
    percent = TextColumn("{task.percentage:>3.0f} %")
    columns = (TextColumn("{task.description}"), BarColumn(), percent, TimeElapsedColumn())
    with Progress(*columns, console=errors, disable=not errors.is_terminal) as progress:
        task = progress.add_task(what, total=total)
        yield lambda completed: progress.update(task, completed=completed)


def _import_id(text: str) -> ImportId:
    if not _IMPORT_ID.fullmatch(text):
        fail(f"{plain(text)!r} is no id of an import: give one with --id, of letters, digits, dots, - and _, up to 40")
    return ImportId(text)


def _echo(document: object) -> None:
    typer.echo(orjson.dumps(document, option=orjson.OPT_INDENT_2))
