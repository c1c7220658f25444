"""`pointstream orphans`: refunds that count nothing."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from services.cli.orphans import orphans
from shared.clock import wall_clock
from shared.domain.time import DAY_US, Instant, rfc3339
from shared.ledger.batch import Batch, Consumed
from shared.ledger.database import Role, open_pool
from shared.ledger.statements import FIND_IDLE_REFUNDS
from shared.settings import Settings
from tests.integration.explaining import PROGRAM, refunded
from tests.integration.reading import paid, post_all
from tests.support.installing import Make, show_to_commands

app = typer.Typer()
app.command()(orphans)


@pytest.fixture(autouse=True)
async def settings(make_installation: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Settings:
    """A fresh installation, whose refunds wait for 10 days; commands find it in the environment."""
    made = await make_installation(PROGRAM)
    show_to_commands(made, monkeypatch, tmp_path)
    return made


async def invoke(*arguments: str) -> Result:
    runner = CliRunner(env={"COLUMNS": "200"})
    return await asyncio.to_thread(lambda: runner.invoke(app, arguments))


async def listed(*arguments: str) -> list[tuple[str, str]]:
    shown = await invoke("--json", *arguments)
    assert shown.exit_code == 0, shown.output
    found: list[dict[str, Any]] = json.loads(shown.stdout)
    return [(each["order_id"], each["plight"]) for each in found]


def days_ago(days: int) -> Instant:
    return Instant(wall_clock() - days * DAY_US)


def cancelled(order_id: str, days: int, **given_back: Any) -> Consumed:
    return refunded(order_id, "M-1", days_ago(days), **(given_back or {"full": True}), reason="cancelled")


async def test_a_refund_is_orphaned_once_it_waited_for_too_long(settings: Settings) -> None:
    waits = refunded("A-3", "M-1", days_ago(2))
    await post_all(settings, Batch(events=[cancelled("A-1", 20), cancelled("A-2", 9), waits]))

    assert await listed() == [("A-1", "orphaned"), ("A-2", "waiting"), ("A-3", "waiting")]
    assert await listed("--older-than", "9d") == [("A-1", "orphaned"), ("A-2", "waiting")]
    assert await listed("--reason", "cancelled", "--limit", "1") == [("A-1", "orphaned")]
    assert await listed("--reason", "chargeback") == []

    shown = await invoke()
    assert "its order did not come" in shown.stdout
    assert "3 refunds: 2 waiting, 1 orphaned." in shown.stdout


async def test_an_order_that_comes_later_takes_its_refund_off_the_list(settings: Settings) -> None:
    await post_all(settings, Batch(events=[cancelled("A-1", 5)]))
    assert await listed() == [("A-1", "waiting")]
    await post_all(settings, Batch(events=[paid("M-1", "A-1", rfc3339(days_ago(6)), 1000)]))
    assert await listed() == []


async def test_what_does_not_fit_its_order_is_listed_whichever_came_first(settings: Settings) -> None:
    other_line = {"lines": [{"line_id": "99", "amount": 100}]}
    first = cancelled("A-1", 5, **other_line)
    await post_all(settings, Batch(events=[first]))
    orders = [paid("M-1", name, rfc3339(days_ago(6)), 1000) for name in ("A-1", "A-2")]
    await post_all(settings, Batch(events=[*orders, cancelled("A-2", 4, **other_line)]))
    assert await listed() == [("A-1", "does_not_fit"), ("A-2", "does_not_fit")]


async def test_a_duration_that_is_none_ends_with_1() -> None:
    shown = await invoke("--older-than", "soon")
    assert shown.exit_code == 1
    assert "--older-than" in shown.stderr


async def test_nothing_is_older_than_time_itself(settings: Settings) -> None:
    """9,999,999 days ago no calendar had begun."""
    await post_all(settings, Batch(events=[refunded("A-3", "M-1", days_ago(2))]))
    assert await listed("--older-than", "1d") == [("A-3", "waiting")]
    assert await listed("--older-than", "9999999d") == []


async def test_the_list_is_found_by_its_index(settings: Settings) -> None:
    pool = await open_pool(settings.database, Role.READER)
    try:
        literal = FIND_IDLE_REFUNDS.replace("$1", "now()").replace("$2::text", "NULL::text").replace("$2", "NULL")
        plan = await pool.fetch("EXPLAIN " + literal.replace("$3", "100"))
    finally:
        pool.terminate()
    text = "\n".join(str(row[0]) for row in plan)
    assert "refunds_idle" in text
    assert "Seq Scan" not in text
