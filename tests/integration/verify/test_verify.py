"""`pointstream verify` agrees with what the workers made, also while they make it, and says what it cannot find out."""

import asyncio
from pathlib import Path

import pytest

from services.cli.verify.run import verify
from services.earn.app import ingest
from services.publisher.app import Publisher
from shared.contracts.inbound import CONTRACTS
from shared.ledger.database import Role
from shared.settings import ORDER_PAID, Settings
from shared.setup import open_ledger
from tests.integration.verify.verifying import MEMBERS, ORDERS, SHARDS, Plant, Verify, event, invoke, is_done, wait_for
from tests.support.installing import Make
from tests.support.running import running, send


async def test_what_the_workers_made_agrees(verified: Verify) -> None:
    found = await verified()
    assert (found.code, found.wrong, found.differences) == (0, set(), [])
    compared = {name: check["compared"] for name, check in found.checks.items()}
    assert compared == {
        "positions": ORDERS,
        "versions": len(MEMBERS),
        "balances": 3 * ORDERS,  # base, house brand and growth
        "lots": 2 * ORDERS,  # available and pending points; growth keeps none
        "debts": 0,
        "budgets": 0,
        "events": ORDERS + 1,
        "offsets": (len(CONTRACTS) + 1) * SHARDS,
        "redis": len(MEMBERS),
        "topic": ORDERS,
        "running balances": ORDERS,
    }


async def test_a_slice_has_what_was_posted_behind_a_position(plant: Plant, verified: Verify, real: Settings) -> None:
    async with open_ledger(real, Role.READER) as ledger:
        heads = await ledger.fetch("SELECT pos FROM shard_heads")
        position = await ledger.fetchval("SELECT pos FROM postings WHERE member_id = 'alice' AND version = 3")
    for since in (1, position, max(row["pos"] for row in heads)):
        clean = await verified("--since", str(since))
        assert (clean.code, clean.wrong) == (0, set()), clean.differences
        left = sum(max(0, row["pos"] - since) for row in heads)
        assert {clean.checks[check]["compared"] for check in ("positions", "events", "topic")} == {left}
    await plant(
        "UPDATE movements SET amount = amount + 1 WHERE rule_id = 'base' AND (shard, pos) IN"
        " (SELECT shard, pos FROM postings WHERE :alice AND version = 3)"
    )
    # The first posting of a slice is believed when it states its balances: the one before it is not read.
    assert (await verified("--since", str(position - 1))).wrong == {"balances", "topic"}
    assert (await verified("--since", str(position))).wrong == set()


SLICED = {
    "a posting whose event was not consumed": (
        "DELETE FROM consumed_events WHERE event_id = (SELECT event_id FROM postings WHERE :second)",
        "events",
    ),
    "what follows from an event that was not consumed": (
        (
            "DELETE FROM consumed_events WHERE event_id = (SELECT event_id FROM postings WHERE :second);"
            "UPDATE postings SET follows = true WHERE :second"
        ),
        "events",
    ),
    "a posting without its movements": ("DELETE FROM movements WHERE :second", "balances"),
    "a lot with too little": ("UPDATE lots SET remaining = remaining - 1 WHERE :alice AND lot_id = 1", "lots"),
    "an account with another due instant": (
        "UPDATE accounts SET next_due_at = next_due_at + interval '1 day' WHERE :alice",
        "lots",
    ),
}


@pytest.mark.parametrize("name", SLICED)
async def test_a_slice_finds_what_is_wrong_in_it_and_nothing_before_it(
    plant: Plant, verified: Verify, real: Settings, name: str
) -> None:
    """What stands in no position, as a lot, is looked at where its member was posted to in the slice."""
    statements, check = SLICED[name]
    async with open_ledger(real, Role.READER) as ledger:
        positions = await ledger.fetch("SELECT pos FROM postings WHERE member_id = 'alice' ORDER BY pos")
    begins = positions[-1 if check == "lots" else 1]["pos"]
    await plant(statements)
    assert check in (await verified("--since", str(begins - 1), "--no-topic", "--no-redis")).wrong
    assert check not in (await verified("--since", str(begins), "--no-topic", "--no-redis")).wrong


async def test_a_slice_goes_on_from_what_was_before_it(plant: Plant, verified: Verify, real: Settings) -> None:
    async with open_ledger(real, Role.READER) as ledger:
        position = await ledger.fetchval("SELECT pos FROM postings WHERE member_id = 'alice' AND version = 3")
    await plant("UPDATE postings SET version = 9 WHERE :alice AND version = 4")
    found = await verified("--since", str(position), "--no-topic")
    # Where the versions have a gap, so have the balances: nobody knows from which ones the slice went on.
    assert found.wrong == {"versions", "balances"}
    assert found.sentences("versions")[0].startswith("member alice: version 9 ")


async def test_events_may_flow_meanwhile(make_installation: Make) -> None:
    """Nothing that workers have half way is taken for a difference, however often one looks."""
    settings = await make_installation(topics=True)
    sent = 0
    async with open_ledger(settings, Role.READER) as ledger, running(ingest(settings), Publisher(settings)):
        flowing = True

        async def flow() -> None:
            nonlocal sent
            while flowing:
                await send(settings, ORDER_PAID, [event(number) for number in range(sent, sent + 50)])
                sent += 50

        sending = asyncio.create_task(flow())
        try:
            for _ in range(3):
                before = await ledger.fetchval("SELECT sum(pos) FROM shard_heads")
                found = await verify(settings)
                assert found.clean, found.differences
                assert await ledger.fetchval("SELECT sum(pos) FROM shard_heads") > before
        finally:
            flowing = False
            await sending
        await wait_for(lambda: is_done(settings, ledger, sent))
    found = await verify(settings)
    assert found.clean, found.differences


async def test_a_person_sees_a_table(plant: Plant, real: Settings, tmp_path: Path) -> None:
    shown = await invoke(real, home=tmp_path)
    assert shown.exit_code == 0
    assert "Everything agrees." in shown.stdout
    await plant("UPDATE lots SET remaining = remaining - 1 WHERE :alice AND lot_id = 1")
    shown = await invoke(real, home=tmp_path)
    assert shown.exit_code == 1
    assert "member alice: the lots hold 179 points that are available, the account has 180" in shown.stdout
    assert "SELECT * FROM lots WHERE shard =" in shown.stdout


@pytest.mark.parametrize("server", ["kafka", "postgres", "redis"])
async def test_a_server_that_does_not_answer_ends_with_2(real: Settings, tmp_path: Path, server: str) -> None:
    nowhere = {
        "kafka": "127.0.0.1:1",
        "postgres": "postgresql://postgres@127.0.0.1:1/postgres",
        "redis": "redis://127.0.0.1:1/0",
    }
    shown = await invoke(real.model_copy(update={server: nowhere[server]}), home=tmp_path)
    assert shown.exit_code == 2
    names = {"kafka": "Kafka", "postgres": "PostgreSQL", "redis": "Redis"}
    assert f"{names[server]} does not answer" in shown.stderr
    assert not shown.stdout


async def test_what_cannot_be_verified_ends_with_2(settings: Settings, tmp_path: Path) -> None:
    unknown = await invoke(settings.model_copy(update={"installation": "nowhere"}), home=tmp_path)
    assert (unknown.exit_code, "no installation 'nowhere'" in unknown.stderr) == (2, True)
    without_topics = await invoke(settings, home=tmp_path)
    assert (without_topics.exit_code, "points-changed does not exist" in without_topics.stderr) == (2, True)
    wrong = await invoke(settings, "--since", "-1", home=tmp_path)
    assert wrong.exit_code == 2
