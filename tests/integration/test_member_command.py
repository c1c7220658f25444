"""`pointstream member`: what a person sees of a member."""

import asyncio
import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from services.cli.member import member, sentence, wallets_table
from shared.domain.ids import LotId, OrderId, RuleId, Wallet
from shared.domain.model import Bucket, Movement
from shared.ledger.batch import Batch
from shared.reads.documents import wallets_document
from shared.settings import Settings
from tests.integration.reading import paid, post_all
from tests.support.installing import show_to_commands

ALL_PARTS = list(wallets_document({Wallet("points"): {}})["points"])

app = typer.Typer()
app.command()(member)


@pytest.fixture(autouse=True)
def _environment(settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    show_to_commands(settings, monkeypatch, tmp_path)


async def invoke(*arguments: str) -> Result:
    """Run the command as a process of its own would: with no event loop around it."""
    runner = CliRunner(env={"COLUMNS": "160"})
    return await asyncio.to_thread(lambda: runner.invoke(app, arguments))


async def test_a_person_sees_balances_and_what_moved(settings: Settings) -> None:
    order = paid("M-1", "A-1", "2026-03-10T15:00:00Z", 123400, brand="Private")
    await post_all(settings, Batch(events=[order]))

    shown = await invoke("M-1")

    assert shown.exit_code == 0
    assert "Member M-1 · 1 posting ·" in shown.stdout
    assert "1,234" in shown.stdout
    assert "order A-1" in shown.stdout
    assert "1,234 points earned by base (lot 1)" in shown.stdout
    assert "617 points earned by house-brand, pending until the return window is over (lot 2)" in shown.stdout
    # Paid at 15:00 UTC; the program lives in New York.
    assert "2026-03-10 11:00:00 EDT" in shown.stdout


async def test_a_program_reads_the_same_as_json(settings: Settings) -> None:
    orders = [paid("M-1", f"A-{number}", "2026-03-10T15:00:00Z", 1000) for number in (1, 2, 3)]
    await post_all(settings, Batch(events=orders))

    shown = json.loads((await invoke("M-1", "--json", "--statement", "2")).stdout)

    assert (shown["member_id"], shown["version"]) == ("M-1", 3)
    assert shown["wallets"]["growth"]["available"] == 30
    assert [entry["version"] for entry in shown["statement"]] == [3, 2]


async def test_an_unknown_member_ends_with_1(settings: Settings) -> None:
    shown = await invoke("nobody")
    assert shown.exit_code == 1
    assert "'nobody'" in shown.stderr
    assert settings.installation in shown.stderr
    assert not shown.stdout


async def test_an_unknown_installation_ends_with_1() -> None:
    shown = await invoke("M-1", "--installation", "nowhere")
    assert shown.exit_code == 1
    assert "'nowhere'" in shown.stderr
    assert "pointstream init" in shown.stderr


async def test_an_id_cannot_give_the_terminal_orders(settings: Settings) -> None:
    await post_all(settings, Batch(events=[paid("M\x1b[2J", "[red]A-1", "2026-03-10T15:00:00Z", 1000)]))
    shown = await invoke("M\x1b[2J")
    assert shown.exit_code == 0
    assert "\x1b[2J" not in shown.stdout
    assert "[red]A-1" in shown.stdout


def test_what_falls_due_names_its_lot_and_order() -> None:
    movement = Movement(Wallet("points"), Bucket.AVAILABLE, Bucket.EXPIRED, 40, None, LotId(3), OrderId("A-1"))
    assert sentence(movement) == "40 points expired (lot 3, order A-1)"


@pytest.mark.parametrize("to_bucket", [bucket for bucket in Bucket if bucket is not Bucket.AVAILABLE])
def test_every_movement_can_be_told(to_bucket: Bucket) -> None:
    movement = Movement(Wallet("points"), Bucket.AVAILABLE, to_bucket, 1, RuleId("rule"), None, None)
    assert sentence(movement).startswith("1 points ")


async def test_what_was_spent_before_a_refund_has_a_column_only_where_it_is_not_zero(settings: Settings) -> None:
    order = paid("M-1", "A-1", "2026-03-10T15:00:00Z", 1000)
    await post_all(settings, Batch(events=[order]))
    assert "written off" not in (await invoke("M-1")).stdout
    wallets = {"points": {**dict.fromkeys(ALL_PARTS, 0), "written_off": 100}, "growth": dict.fromkeys(ALL_PARTS, 0)}
    table = wallets_table(wallets)
    assert [column.header for column in table.columns][-1] == "written off"
    assert len(table.columns) == len(ALL_PARTS) - 3 + 1


def test_what_a_refund_took_of_spent_points_is_told() -> None:
    movement = Movement(
        Wallet("points"), Bucket.CASH_OFFSET, Bucket.CLAWED_BACK, 7, RuleId("base"), None, OrderId("A-1")
    )
    assert sentence(movement) == (
        "7 points to be taken back by base were spent already; the shop keeps their worth (order A-1)"
    )
