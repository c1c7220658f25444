"""`pointstream import`: a file's rows give points once each, others are refused, all can be taken back."""

import asyncio
import csv
import gc
import json
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from services.cli import adjust, importing
from services.cli.import_file import FileRefusedError, Refused, Row, read_rows
from services.cli.import_work import BATCH_ROWS, Run
from services.cli.verify.ledger import LedgerCheck
from services.cli.verify.progress import Silent
from services.cli.verify.snapshot import CONNECTIONS, take_snapshot
from shared.contracts.program import read_program
from shared.domain.ids import ImportId, MemberId, Wallet
from shared.domain.time import Instant
from shared.ledger import imports
from shared.ledger.database import Pool, Role, open_pool
from shared.ledger.desk import open_desk
from shared.ledger.imports import Import, ImportRefusedError
from shared.settings import Settings
from tests.conftest import GROCERY, SHARDS
from tests.support.installing import Make, show_to_commands
from tests.support.orders import NOON

app = typer.Typer()
app.command()(adjust.adjust)
app.add_typer(importing.app, name="import")

WHO = ("--by", "ann", "--reason", "opening balances")


@pytest.fixture
async def settings(make_installation: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Settings:
    made = await make_installation()
    show_to_commands(made, monkeypatch, tmp_path)
    return made


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "opening.csv"


@asynccontextmanager
async def open_reporting(settings: Settings) -> AsyncIterator[Pool]:
    pool = await open_pool(settings.database, Role.READER, max_size=CONNECTIONS + 1, by_key=False)
    try:
        yield pool
    finally:
        pool.terminate()


def write(file: Path, text: str | bytes) -> None:
    file.write_bytes(text.encode() if isinstance(text, str) else text)


def read(file: Path) -> list[dict[str, str]]:
    with file.open(newline="") as stream:
        return list(csv.DictReader(stream))


async def command(*arguments: str) -> Result:
    """Run the command as a process of its own would: with no event loop around it."""
    runner = CliRunner(env={"COLUMNS": "200"})
    return await asyncio.to_thread(lambda: runner.invoke(app, arguments))


async def imported(*arguments: str, exit_code: int = 0) -> dict[str, Any]:
    result = await command("import", *arguments, "--json")
    assert result.exit_code == exit_code, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


async def lots(ledger: Pool) -> list[tuple[object, ...]]:
    rows = await ledger.fetch(
        "SELECT member_id, wallet, issued, remaining, expires_at::text FROM lots ORDER BY member_id, lot_id"
    )
    return [tuple(row) for row in rows]


async def test_rows_give_points_with_their_ends(settings: Settings, ledger: Pool, file: Path) -> None:
    """The grocer's zone is New York; points without an end of their own end as the program says."""
    write(file, "member_id,points,expires_on\nalice,50,2099-12-31\nbob,20,2099-06-30\nalice,7,2099-06-30\n")
    result = await command("import", str(file), *WHO)
    assert (result.exit_code, result.stdout) == (
        0,
        "opening: 3 rows. 3 gave 77 points; 0 were posted before; 0 were refused.\n",
    )
    assert await lots(ledger) == [
        ("alice", "points", 50, 50, "2100-01-01 05:00:00+00"),
        ("alice", "points", 7, 7, "2099-07-01 04:00:00+00"),
        ("bob", "points", 20, 20, "2099-07-01 04:00:00+00"),
    ]
    kept = await ledger.fetch("SELECT DISTINCT actor, reason, import_id FROM adjustments")
    assert [tuple(row) for row in kept] == [("ann", "opening balances", "opening")]


async def test_every_refused_row_is_reported_and_the_others_count(
    settings: Settings, ledger: Pool, file: Path, tmp_path: Path
) -> None:
    write(
        file,
        b"\xef\xbb\xbfmember_id,points,expires_on,wallet,reference\r\n"
        b"alice,50,,,r-1\r\n"
        b"\r\n"
        b" alice,50,,,\r\n"
        b"bob,many,,,\r\n"
        b"bob,0,,,\r\n"
        b"bob,-5,,,\r\n"
        b"bob,5,31.12.2099,,\r\n"
        b"bob,5,2020-01-01,,\r\n"
        b"bob,5,,miles,\r\n"
        b"bob,5,,,r-1\r\n"
        b"bob,5\r\n"
        b"b\xffb,5,,,\r\n"
        b",5,,,\r\n"
        b'bob,5,,,"open\r\n'
        b"bob,9,,growth,r-2\r\n",
    )
    report = tmp_path / "refused.csv"
    found = await imported(str(file), *WHO, "--refused", str(report), exit_code=1)
    assert (found["rows"], found["posted"], found["points"]) == (13, 1, {"points": 50})
    reasons = {row["line"]: row["reason"] for row in found["refused_rows"]}
    assert {line: reason.partition(":")[0] for line, reason in reasons.items()} == {
        4: "member_id",
        5: "points",
        6: "points",
        7: "points",
        8: "expires_on",
        9: "expires_on",
        10: "wallet",
        11: "reference",
        12: "it has 2 cells, and the first line names 5 columns",
        13: "it is not in UTF-8",
        14: "member_id",
        15: "it could not be read as CSV",
    }
    assert reasons[15].endswith("; nor could line 16")
    assert reasons[11] == "reference: line 2 has it already"
    assert [int(row["line"]) for row in read(report)] == list(reasons)
    assert await ledger.fetchval("SELECT count(*) FROM postings") == 1


async def test_a_rerun_counts_nothing_twice_and_a_mended_row_once(settings: Settings, ledger: Pool, file: Path) -> None:
    write(file, "member_id,points,reference\nalice,50,r-1\nbob,many,\ncleo,3,\n")
    assert (await imported(str(file), *WHO, exit_code=1))["posted"] == 2
    write(file, "member_id,points,reference\nalice,50,r-1\nbob,8,\ncleo,3,\n")
    mended = await imported(str(file), *WHO)
    assert (mended["posted"], mended["posted_before"], mended["points"]) == (1, 2, {"points": 8})
    again = await imported(str(file), *WHO)
    assert (again["posted"], again["posted_before"], again["refused"]) == (0, 3, 0)
    assert await ledger.fetchval("SELECT count(*) FROM postings") == 3


async def test_a_row_that_says_something_else_by_now_is_refused(settings: Settings, ledger: Pool, file: Path) -> None:
    write(file, "member_id,points,reference\nalice,50,r-1\nbob,8,\n")
    await imported(str(file), *WHO)
    write(file, "member_id,points,reference\nalice,60,r-1\nbob,9,\n")
    found = await imported(str(file), *WHO, exit_code=1)
    assert [row["reason"].partition(" for")[0] for row in found["refused_rows"]] == ["its id was used before"] * 2
    renamed = await imported(str(file), *WHO, "--id", "other", exit_code=1)
    assert [row["line"] for row in renamed["refused_rows"]] == [2], "a reference counts once, in whatever import"
    assert await ledger.fetchval("SELECT count(*) FROM dead_letters") == 0


async def test_a_dry_run_says_the_same_and_posts_nothing(settings: Settings, ledger: Pool, file: Path) -> None:
    write(file, "member_id,points,wallet\nalice,50,\nbob,many,\ncleo,7,growth\n")
    dry = await imported(str(file), *WHO, "--dry-run", exit_code=1)
    for table in ("imports", "adjustments", "postings"):
        assert await ledger.fetchval(f"SELECT count(*) FROM {table}") == 0, table  # noqa: S608
    real = await imported(str(file), *WHO, exit_code=1)
    assert dry == {**real, "dry_run": True}


async def test_an_import_is_taken_back_out_of_its_own_lots(
    settings: Settings, ledger: Pool, file: Path, tmp_path: Path
) -> None:
    """alice spent 30 of her 50, and got 10 elsewhere; bob spent nothing; the growth of cleo is in no lot."""
    write(file, "member_id,points,wallet\nalice,50,\nbob,20,\ncleo,7,growth\n")
    await command("adjust", "alice", "--give", "10", "--reason", "x", "--expires-on", "2099-01-01")
    await imported(str(file), *WHO)
    await command("adjust", "alice", "--take", "30", "--reason", "spent")
    dry = await imported("revert", "opening", "--by", "bob", "--reason", "the wrong file", "--dry-run")
    kept = tmp_path / "kept.csv"
    real = await imported("revert", "opening", "--by", "bob", "--reason", "the wrong file", "--kept", str(kept))
    assert dry == {**real, "dry_run": True}
    assert (real["taken_back"], real["gone"]) == ({"points": 40, "growth": 7}, {"points": 30})
    assert real["rows_with_points_gone"] == [
        {"member_id": "alice", "wallet": "points", "row": "line/opening/2", "given": 50, "taken_back": 20}
    ]
    assert [row["taken_back"] for row in read(kept)] == ["20"]
    async with open_desk(settings.database) as desk:
        balances = await desk.balances(MemberId("alice"))
    assert balances is not None
    assert balances[Wallet("points")]["available"] == 10  # type: ignore[index]
    assert await ledger.fetchval("SELECT count(*) FROM lots WHERE remaining > 0") == 1

    async with open_reporting(settings) as pool, take_snapshot(pool) as snapshot:
        check = LedgerCheck(snapshot, settings.installation, SHARDS, 0, [Wallet("growth")])
        await check.run(Silent())
    assert [findings.found for findings in check.findings] == [0] * len(check.findings)

    again = await imported("revert", "opening", "--by", "bob", "--reason", "the wrong file")
    assert again == real
    rerun = await command("import", str(file), *WHO)
    assert (rerun.exit_code, "was taken back" in rerun.stderr) == (1, True)
    listed = await command("import", "list", "--json")
    (only,) = json.loads(listed.stdout)
    assert (only["import_id"], only["reverted"]["actor"]) == ("opening", "bob")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "has to name the columns"),
        ("member_id;points\nalice;5\n", "'member_id;points'"),
        ("member_id,points,expire_on\nalice,5,\n", "'expire_on'"),
        ("member_id,reference\nalice,5\n", "has to name the columns"),
        ("member_id,points,points\nalice,5,5\n", "has to name the columns"),
    ],
)
async def test_what_is_no_import_is_refused_as_a_whole(
    settings: Settings, ledger: Pool, file: Path, text: str, says: str
) -> None:
    write(file, text)
    result = await command("import", str(file), *WHO)
    assert result.exit_code == 1
    assert says in result.stderr
    assert await ledger.fetchval("SELECT count(*) FROM imports") == 0


async def test_an_id_stands_for_one_import_and_one_runs_it_at_a_time(settings: Settings, file: Path) -> None:
    write(file, "member_id,points\nalice,5\n")
    await imported(str(file), *WHO)
    other = await command("import", str(file), "--by", "bob", "--reason", "mine")
    assert (other.exit_code, "was begun by ann" in other.stderr) == (1, True)
    missing = await command("import", "revert", "nothing", "--reason", "x")
    assert (missing.exit_code, "there is no import 'nothing'" in missing.stderr) == (1, True)
    async with open_desk(settings.database) as desk, imports.alone_with(desk.pool, ImportId("opening")):
        busy = await command("import", str(file), *WHO)
        assert (busy.exit_code, "somebody else is at import 'opening'" in busy.stderr) == (1, True)
        with pytest.raises(ImportRefusedError):
            async with imports.alone_with(desk.pool, ImportId("opening")):
                pass


async def test_more_rows_than_a_batch_has(settings: Settings, ledger: Pool, file: Path) -> None:
    rows = "".join(f"m-{number % 700},{number + 1},r-{number}\n" for number in range(2_500))
    write(file, f"member_id,points,reference\n{rows}")
    found = await imported(str(file), *WHO)
    assert (found["rows"], found["posted"], found["refused"]) == (2_500, 2_500, 0)
    taken = await imported("revert", "opening", "--reason", "the wrong file")
    assert (taken["rows"], taken["taken_back"], taken["gone"]) == (2_500, {"points": 3_126_250}, {})
    assert await ledger.fetchval("SELECT count(*) FROM lots WHERE remaining > 0") == 0


async def test_the_import_command_is_the_file_first(settings: Settings, file: Path) -> None:
    write(file, "member_id,points\nalice,5\n")
    assert (await command("import", "--dry-run", str(file), *WHO)).exit_code == 0
    assert "run" in (await command("import", "--help")).stdout
    assert "member_id, points" in (await command("import", "run", "--help")).stdout


def test_a_file_of_any_size_takes_little_memory() -> None:
    rows = b"".join(b"member-%d,5,reference-%d\n" % (number, number) for number in range(20_000))
    stream = BytesIO(b"member_id,points,reference\n" + rows)
    tracemalloc.start()
    try:
        seen = sum(1 for row in read_rows(stream, IMPORT, PROGRAM, NOON) if isinstance(row, Row))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert seen == 20_000
    assert peak < 1_600_000


def test_one_bad_line_costs_one_row() -> None:
    text = b'member_id,points\n"a"b,5\nbob,5\n' + b"x" * 200_000 + b",5\ncleo,5\n"
    found = list(read_rows(BytesIO(text), IMPORT, PROGRAM, NOON))
    assert [(type(row), row.line) for row in found] == [(Refused, 2), (Row, 3), (Refused, 4), (Row, 5)]


def test_a_file_stays_open_for_its_opener() -> None:
    stream = BytesIO(b"nothing\n")
    with pytest.raises(FileRefusedError):
        list(read_rows(stream, IMPORT, PROGRAM, NOON))
    assert not stream.closed


PROGRAM = read_program(GROCERY)[0].to_domain()
IMPORT = Import(ImportId("opening"), Wallet("points"), "ann", "a test", "opening.csv", Instant(NOON))


async def test_the_file_of_an_import_is_never_written_over(settings: Settings, file: Path, tmp_path: Path) -> None:
    write(file, "member_id,points\nalice,50\n")
    same = tmp_path / "refused.csv"
    same.symlink_to(file)
    for name in (file, same):
        result = await command("import", str(file), *WHO, "--refused", str(name))
        assert (result.exit_code, "--refused: this is the file of the import" in result.stderr) == (1, True)
    assert read(file) == [{"member_id": "alice", "points": "50"}]


async def test_after_ctrl_c_an_import_says_how_to_go_on(
    settings: Settings, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is said beyond that, also not when what was left of the rows is thrown away."""

    async def interrupted(run: Run, rows: list[Row]) -> None:
        raise KeyboardInterrupt

    write(file, "member_id,points\n" + "alice,1\n" * (BATCH_ROWS + 1))
    with monkeypatch.context() as patched:
        patched.setattr(Run, "_post", interrupted)
        result = await command("import", str(file), *WHO)
    gc.collect()
    again = "Run it again: it goes on where it broke off, and no row counts twice."
    assert (result.exit_code, result.stderr) == (130, f"Stopped. {again}\n")
    assert (await imported(str(file), *WHO))["posted"] == BATCH_ROWS + 1
