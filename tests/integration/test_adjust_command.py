"""`pointstream adjust` and `adjustments`: points move with a name and a reason, above a limit with two names."""

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest
import typer
from typer.testing import CliRunner, Result

from services.cli import adjust, member
from shared.domain.ids import AdjustmentId, MemberId, Wallet
from shared.domain.time import DAY_US, Instant, instant_of
from shared.ledger.database import Pool, Role
from shared.ledger.desk import Desk, open_desk
from shared.ledger.proposals import Verdict, Wish, propose
from shared.operators import Operator, OperatorRole
from shared.settings import Settings
from tests.support.installing import Make, show_to_commands
from tests.support.unchanging import assert_append_only

ANN = Operator("ann", OperatorRole.AGENT)
BOB = Operator("bob", OperatorRole.SUPERVISOR)

app = typer.Typer()
app.command()(adjust.adjust)
app.command()(member.member)
app.add_typer(adjust.app, name="adjustments")


@pytest.fixture
async def settings(make_installation: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Settings:
    made = await make_installation()
    show_to_commands(made, monkeypatch, tmp_path)
    return made


async def command(*arguments: str) -> Result:
    """Run the command as a process of its own would: with no event loop around it."""
    runner = CliRunner(env={"COLUMNS": "200"})
    return await asyncio.to_thread(lambda: runner.invoke(app, arguments))


async def adjusted(*arguments: str, exit_code: int = 0) -> dict[str, Any]:
    result = await command("adjust", *arguments, "--json")
    assert result.exit_code == exit_code, result.stderr
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def wish(points: int, adjustment_id: str = "a-1") -> Wish:
    return Wish(AdjustmentId(adjustment_id), MemberId("alice"), Wallet("points"), points, "a test")


async def test_points_are_given_and_taken_with_who_and_why(settings: Settings, ledger: Pool) -> None:
    given = await command(
        "adjust", "alice", "--give", "50", "--reason", "the parcel was late", "--by", "ann", "--id", "a-1"
    )
    assert (given.exit_code, given.stdout) == (0, "a-1: posted. alice has 50 points available.\n")
    taken = await adjusted("alice", "--take", "20", "--reason", "given twice", "--by", "bob")
    assert (taken["state"], taken["outcome"], taken["wallets"]["points"]["available"]) == ("posted", "posted", 30)
    rows = await ledger.fetch("SELECT points, moved, lot_id, actor, reason FROM adjustments ORDER BY occurred_at")
    assert [tuple(row) for row in rows] == [
        (50, 50, 1, "ann", "the parcel was late"),
        (-20, 20, None, "bob", "given twice"),
    ]


async def test_more_than_there_is_cannot_be_taken(settings: Settings) -> None:
    result = await command("adjust", "alice", "--take", "1", "--reason", "too much", "--by", "ann", "--id", "a-1")
    assert result.exit_code == 1
    assert result.stdout == "a-1: refused, there are not so many points available. alice has 0 points available.\n"
    again = await adjusted("alice", "--take", "1", "--reason", "too much", "--by", "ann", "--id", "a-1", exit_code=1)
    assert (again["state"], again["outcome"]) == ("refused", "balance_too_low")


async def test_a_wallet_that_does_not_exist_is_named(settings: Settings) -> None:
    arguments = ("adjust", "bob", "--give", "5", "--wallet", "nope", "--reason", "late", "--by", "ann", "--id", "a-1")
    said = "refused, the program has no such wallet: nope."
    rehearsed = await command(*arguments, "--dry-run")
    assert (rehearsed.exit_code, rehearsed.stdout) == (1, f"{said} Nothing was done.\n")
    result = await command(*arguments)
    assert (result.exit_code, result.stdout) == (1, f"a-1: {said}\n")


async def test_the_same_id_counts_once_and_stands_for_one_adjustment(settings: Settings, ledger: Pool) -> None:
    arguments = ("alice", "--give", "50", "--reason", "late", "--by", "ann", "--id", "a-1")
    first, second = await adjusted(*arguments), await adjusted(*arguments)
    assert first == second
    other = await command("adjust", "alice", "--give", "60", "--reason", "late", "--by", "ann", "--id", "a-1")
    assert other.exit_code == 1
    assert "the id 'a-1' was used before for another adjustment" in other.stderr
    assert await ledger.fetchval("SELECT count(*) FROM postings") == 1
    assert await ledger.fetchval("SELECT count(*) FROM dead_letters") == 0


async def test_a_dry_run_says_what_would_happen_and_does_nothing(settings: Settings, ledger: Pool) -> None:
    arguments = (
        "alice",
        "--give",
        "5000",
        "--reason",
        "late",
        "--by",
        "ann",
        "--expires-on",
        "2099-12-31",
        "--dry-run",
    )
    found = await adjusted(*arguments)
    assert (found["waits_for_approval"], found["outcome"]) == (True, "posted")
    assert found["wallets"]["points"]["available"] == 5000
    for table in ("adjustment_proposals", "adjustments", "postings", "accounts"):
        assert await ledger.fetchval(f"SELECT count(*) FROM {table}") == 0, table  # noqa: S608


async def test_given_points_may_end_on_a_day(settings: Settings, ledger: Pool) -> None:
    """The grocer's zone is New York."""
    await adjusted("alice", "--give", "5", "--reason", "late", "--by", "ann", "--expires-on", "2099-12-31")
    ends = await ledger.fetchval("SELECT expires_at::text FROM lots")
    assert ends == "2100-01-01 05:00:00+00"


async def test_above_the_limit_a_second_person_decides(settings: Settings, ledger: Pool) -> None:
    waiting = await adjusted("alice", "--give", "1001", "--reason", "gala", "--by", "ann", "--id", "a-1")
    assert (waiting["state"], waiting["wallets"]) == ("waiting", {})
    listed = json.loads((await command("adjustments", "list", "--json")).stdout)
    assert [(row["adjustment_id"], row["points"], row["actor"]) for row in listed] == [("a-1", 1001, "ann")]

    own = await command("adjustments", "approve", "a-1", "--by", "ann", "--role", "supervisor", "--reason", "mine")
    assert (own.exit_code, "nobody approves what they proposed themselves" in own.stderr) == (1, True)
    agent = await command("adjustments", "approve", "a-1", "--by", "eve", "--role", "agent", "--reason", "why not")
    assert (agent.exit_code, "only a supervisor decides" in agent.stderr) == (1, True)

    for _ in range(2):
        done = await command("adjustments", "approve", "a-1", "--by", "bob", "--reason", "checked")
        assert (done.exit_code, done.stdout) == (0, "a-1: posted. alice has 1,001 points available.\n")
    late = await command("adjustments", "reject", "a-1", "--by", "bob", "--reason", "no")
    assert (late.exit_code, "decided before: approved, by bob" in late.stderr) == (1, True)
    assert await ledger.fetchval("SELECT count(*) FROM postings") == 1
    assert json.loads((await command("adjustments", "list", "--json")).stdout) == []
    (row,) = json.loads((await command("adjustments", "list", "--all", "--json")).stdout)
    assert (row["state"], row["decision"]["actor"], row["decision"]["why"]) == ("posted", "bob", "checked")


async def test_points_that_ended_while_they_waited_are_not_given(settings: Settings, ledger: Pool) -> None:
    """Their end lies before the first version of the program, too."""
    proposed_at = instant_of(datetime(2001, 1, 1, tzinfo=UTC))
    ending = replace(wish(5000), expires_at=Instant(proposed_at + DAY_US))
    async with open_desk(settings.database) as desk, desk.pool.acquire() as connection:
        await propose(connection, ending, ANN, 1000, proposed_at)
    for _ in range(2):
        late = await command("adjustments", "approve", "a-1", "--by", "bob", "--reason", "checked")
        assert late.exit_code == 1
        assert "a-1: refused, the points would have ended before they were given" in late.stdout
    assert await ledger.fetchval("SELECT count(*) FROM postings") == 0


async def test_what_is_rejected_moves_nothing_for_good(settings: Settings, ledger: Pool) -> None:
    arguments = ("alice", "--give", "1001", "--reason", "gala", "--by", "ann", "--id", "a-1")
    await adjusted(*arguments)
    withdrawn = await command("adjustments", "reject", "a-1", "--by", "ann", "--role", "agent", "--reason", "a typo")
    assert (withdrawn.exit_code, withdrawn.stdout) == (0, "a-1: rejected. Nothing moved.\n")
    approved = await command("adjustments", "approve", "a-1", "--by", "bob", "--reason", "checked")
    assert (approved.exit_code, "decided before: rejected, by ann" in approved.stderr) == (1, True)
    assert (await adjusted(*arguments, exit_code=1))["state"] == "rejected"
    assert await ledger.fetchval("SELECT count(*) FROM postings") == 0


async def test_a_statement_tells_what_an_operator_did(settings: Settings) -> None:
    await adjusted("alice", "--give", "50", "--reason", "late", "--by", "ann")
    await adjusted("alice", "--take", "20", "--reason", "given twice", "--by", "bob")
    shown = await command("member", "alice")
    assert "50 points given by an operator (lot 1)" in shown.stdout
    assert "20 points taken by an operator (lot 1)" in shown.stdout


async def test_a_setting_that_is_no_json_is_said(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POINTSTREAM_OPERATOR_TOKENS", "a-secret")
    result = await command("adjustments", "list")
    assert (result.exit_code, "operator_tokens" in result.stderr, "a-secret" in result.stderr) == (1, True, False)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("alice", "--reason", "x"), "either --give or --take"),
        (("alice", "--give", "1", "--take", "1", "--reason", "x"), "either --give or --take"),
        (("alice", "--give", "1", "--reason", " "), "--reason: say something"),
        (("alice", "--give", "1", "--reason", "x", "--by", ""), "--by: say something"),
        (("alice", "--give", "1", "--reason", "x", "--id", "a b"), "is no id of an adjustment"),
        (("alice", "--give", "1", "--reason", "x", "--expires-on", "31.12."), "is no day"),
        (("alice", "--give", "1", "--reason", "x", "--expires-on", "2100-01-01"), "2099 is the last year there is"),
        (("alice", "--give", "1", "--reason", "x", "--expires-on", "9999-12-31"), "2099 is the last year there is"),
        (("alice", "--give", "1", "--reason", "x", "--expires-on", "2020-01-01"), "would have ended already"),
        (("alice", "--take", "1", "--reason", "x", "--expires-on", "2099-01-01"), "only points that are given"),
        (("m" * 129, "--give", "1", "--reason", "x"), "member_id"),
        (("alice", "--give", str(10**19), "--reason", "x"), "points"),
    ],
)
async def test_what_cannot_be_is_said(settings: Settings, arguments: tuple[str, ...], says: str) -> None:
    result = await command("adjust", *arguments)
    assert result.exit_code == 1
    assert says in result.stderr


async def test_a_wrong_password_is_said(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    server = urlsplit(settings.postgres)
    assert server.password
    monkeypatch.setenv("POINTSTREAM_POSTGRES", settings.postgres.replace(server.password, "wrong"))
    result = await command("adjustments", "list")
    assert result.exit_code == 1
    assert "password authentication failed" in result.stderr
    assert "Correct POINTSTREAM_POSTGRES." in result.stderr


async def test_after_ctrl_c_it_is_said_what_is_known(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(desk: Desk, *arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Desk, "adjust", interrupted)
    result = await command("adjust", "alice", "--give", "1", "--reason", "x", "--by", "ann", "--id", "a-1")
    assert result.exit_code == 130
    assert result.stderr == "Stopped. Whether it was done is not known. Doing it again with --id a-1 is safe.\n"


async def test_one_that_broke_off_before_it_was_posted_is_finished_by_asking_again(settings: Settings) -> None:
    async with open_desk(settings.database) as desk:
        poster, desk.poster = desk.poster, None  # type: ignore[assignment]
        with pytest.raises(AttributeError):
            await desk.adjust(wish(50), ANN, 1000)
        desk.poster = poster
        (standing,) = await desk.list(10, only_waiting=False)
        assert standing.recorded is None
        assert (await desk.adjust(wish(50), ANN, 1000)).recorded is not None
        balances = await desk.balances(MemberId("alice"))
        assert balances is not None
        assert balances[Wallet("points")]["available"] == 50  # type: ignore[index]


async def test_many_who_ask_for_the_same_at_once_count_once(settings: Settings, ledger: Pool) -> None:
    async with open_desk(settings.database) as desk:
        await asyncio.gather(*(desk.adjust(wish(50), ANN, 1000) for _ in range(8)))
        await desk.adjust(wish(5000, "a-2"), ANN, 1000)
        await asyncio.gather(
            *(desk.rule(AdjustmentId("a-2"), Verdict.APPROVED, Operator(f"s{n}", BOB.role), "yes") for n in range(8))
        )
    assert await ledger.fetchval("SELECT count(*) FROM postings") == 2
    assert await ledger.fetchval("SELECT count(*) FROM dead_letters") == 0


async def test_the_database_itself_keeps_four_eyes(settings: Settings, ledger: Pool) -> None:
    async with open_desk(settings.database) as desk:
        await desk.adjust(wish(5000), ANN, 1000)
    values = "VALUES ('a-1', 'ann', 'approved', $1, $2, 'why', now())"
    for actor, role in (("ann", "supervisor"), ("bob", "agent")):
        with pytest.raises(asyncpg.CheckViolationError):
            await ledger.execute(f"INSERT INTO adjustment_decisions {values}", actor, role)
    with pytest.raises(asyncpg.ForeignKeyViolationError):
        await ledger.execute(
            "INSERT INTO adjustment_decisions VALUES ('a-1', 'eve', 'approved', 'ann', 'supervisor', 'why', now())"
        )


@pytest.mark.parametrize(
    "table", ["adjustments", "adjustment_proposals", "adjustment_decisions", "imports", "import_reverts"]
)
async def test_nobody_changes_what_was_recorded(settings: Settings, table: str) -> None:
    await assert_append_only(settings, (Role.WRITER, Role.READER), f"DELETE FROM {table}")  # noqa: S608
