"""Appeals give back what an event took: once, whatever batches they come in, and for its own member alone."""

import asyncio
from pathlib import Path
from typing import Any

import orjson
import pytest
import typer
from typer.testing import CliRunner, Result

from services.cli import adjust, explain, member
from services.cli.verify.run import verify
from shared.contracts import behaviour
from shared.contracts.contract import Contract
from shared.domain.facts import Appeal, Event
from shared.domain.ids import AdjustmentId, EventId, EventSource, MemberId
from shared.domain.time import rfc3339
from shared.ledger.adjustments import NoMessage, adjustment_of, event_of
from shared.ledger.batch import Batch, Consumed
from shared.ledger.database import Pool, Role
from shared.ledger.post import Poster
from shared.ledger.programs import load_programs
from shared.settings import Settings
from tests.support.installing import Make, show_to_commands
from tests.support.orders import NOON, consumed, refund_consumed
from tests.support.unchanging import assert_append_only

PROGRAM = """
program: shop
version: 1
effective_from: "2020-01-01T00:00:00Z"
zone: UTC
currency: USD
late_tolerance: 36500d
refunds: {shortfall: clip}
wallets:
  points: {spendable: true, expiry: never}
rules:
  - {id: base, wallet: points, rate: 1}
behaviours:
  - {id: spam, behaviour: spam-report, wallet: points, points: -30, floor: zero}
  - {id: fraud, behaviour: fraud, wallet: points, points: -5000, floor: debt}
"""
SHARDS = 4

app = typer.Typer()
app.command()(adjust.adjust)
app.command()(member.member)
app.add_typer(adjust.app, name="adjustments")
app.add_typer(explain.app, name="explain")


@pytest.fixture
async def settings(make_installation: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Settings:
    made = await make_installation(PROGRAM, topics=True)
    show_to_commands(made, monkeypatch, tmp_path)
    return made


@pytest.fixture
async def poster(ledger: Pool) -> Poster:
    return Poster(ledger, await load_programs(ledger), SHARDS)


def read(contract: Contract[Any], source: str, event_id: str, data: dict[str, Any]) -> Consumed:
    event = {"specversion": "1.0", "id": event_id, "source": source, "type": contract.type, "data": data}
    value = orjson.dumps(event)
    decoded = contract.decode(value, ())
    return Consumed(Event(decoded.ref, NOON, decoded.fact), decoded.digest, NoMessage("t", 0, 0, 0, None, value))


def does(name: str, event_id: str, member_id: str = "alice") -> Consumed:
    data = {"member_id": member_id, "behaviour": name, "occurred_at": rfc3339(NOON)}
    return read(behaviour.CONTRACT, "/shop", event_id, data)


def appeal(appeal_id: str, event_id: str, member_id: str = "alice") -> Consumed:
    reverses = EventSource("/shop"), EventId(event_id)
    fact = Appeal(MemberId(member_id), reverses, "ann", "it was a mistake", NOON)
    return adjustment_of(event_of(EventSource("/desk"), AdjustmentId(appeal_id), fact), NOON)


async def in_batches(poster: Poster, *batches: list[Consumed]) -> None:
    for events in batches:
        await poster.post(Batch(events=events))


async def outcomes(ledger: Pool) -> dict[str, str]:
    rows = await ledger.fetch("SELECT event_id, outcome FROM consumed_events")
    return {row["event_id"]: row["outcome"] for row in rows}


async def tables(ledger: Pool) -> list[Any]:
    """All that moved, and all that is kept for later decisions."""
    statements = (
        "SELECT version, kind, event_id, balances::text FROM postings ORDER BY member_id, version",
        "SELECT wallet, from_bucket, to_bucket, amount, lot_id FROM movements ORDER BY shard, pos, seq",
        "SELECT lot_id, issued, remaining FROM lots ORDER BY member_id, lot_id",
        "SELECT wallet, amount FROM debts",
        "SELECT version, wallet, order_id, amount FROM write_offs WHERE amount > 0",
        "SELECT event_id, by_event_id FROM reversed_events ORDER BY event_id",
    )
    return [[tuple(row) for row in await ledger.fetch(statement)] for statement in statements]


# 40 + 60 points. spam takes 30 of o-1's; the refund of o-1 takes 10 of its own and 30 of o-2's, so nothing is written
# off. fraud takes o-2's other 30, and 4970 are owed.
STORY = [
    consumed("o-1", cents=[4000]),
    consumed("o-2", cents=[6000]),
    does("spam-report", "p-1"),
    refund_consumed("o-1"),
    does("fraud", "p-2"),
    appeal("r-1", "p-1"),
    appeal("r-2", "p-2"),
    appeal("r-3", "p-1"),
    appeal("r-4", "o-1"),
    appeal("r-5", "p-1", "bob"),
]


@pytest.mark.parametrize("size", [1, 2, 3, 6, 10])
async def test_batches_make_no_difference(ledger: Pool, poster: Poster, size: int) -> None:
    await in_batches(poster, *[STORY[first : first + size] for first in range(0, len(STORY), size)])
    assert {name: outcome for name, outcome in (await outcomes(ledger)).items() if name.startswith("r")} == {
        "r-1": "posted",
        "r-2": "posted",
        "r-3": "already_reversed",
        "r-4": "nothing_to_reverse",
        "r-5": "event_of_another_member",
    }
    _, _, lots, debts, write_offs, reversed_ = await tables(ledger)
    # r-1 brings 30 back, which repay the debt of fraud. r-2 takes the other 4940 away, gives 30 back into o-2's lot,
    # and 30 in a new one. Of 100 points, o-1's 40 are gone.
    assert lots == [(1, 40, 0), (2, 60, 30), (3, 30, 30)]
    assert (debts, write_offs, reversed_) == ([], [], [("p-1", "r-1"), ("p-2", "r-2")])


@pytest.mark.parametrize("size", [1, 2, 5])
async def test_a_write_off_is_made_good_once(ledger: Pool, poster: Poster, size: int) -> None:
    """Of o-1's 40 spam takes 30, the refund the other 10, and 30 are written off. The second penalty takes o-2's 30."""
    events = [
        consumed("o-1", cents=[4000]),
        does("spam-report", "p-1"),
        refund_consumed("o-1"),
        consumed("o-2", cents=[3000]),
        does("spam-report", "p-2"),
        appeal("r-1", "p-1"),
        appeal("r-2", "p-2"),
    ]
    await in_batches(poster, *[events[first : first + size] for first in range(0, len(events), size)])
    postings, _, lots, _, write_offs, _ = await tables(ledger)
    balances = orjson.loads(postings[-1][3])["points"]
    assert {bucket: points for bucket, points in balances.items() if points} == {
        "issued": -70,
        "available": 30,
        "clawed_back": 40,
    }
    assert lots == [(1, 40, 0), (2, 30, 30)]
    assert write_offs == []


async def test_many_who_appeal_at_once_count_once(ledger: Pool, poster: Poster) -> None:
    await in_batches(poster, [consumed("o-1", cents=[4000])], [does("spam-report", "p-1")])
    await asyncio.gather(*(poster.post(Batch(events=[appeal(f"r-{number}", "p-1")])) for number in range(8)))
    found = list((await outcomes(ledger)).values())
    assert (found.count("posted"), found.count("already_reversed")) == (3, 7)


async def test_the_ledger_agrees_with_itself_afterwards(settings: Settings, ledger: Pool, poster: Poster) -> None:
    await in_batches(poster, STORY[:4], STORY[4:])
    found = await verify(settings, topic=False, redis=False)
    assert (found.clean, found.differences) == (True, ())
    assert await ledger.fetchval("SELECT sum(moved) FROM adjustments") == 30 + 5000


async def command(*arguments: str) -> Result:
    runner = CliRunner(env={"COLUMNS": "200"})
    return await asyncio.to_thread(lambda: runner.invoke(app, arguments))


async def test_an_operator_reverses_a_penalty_and_sees_it(settings: Settings, ledger: Pool, poster: Poster) -> None:
    await in_batches(poster, [consumed("o-1", cents=[4000]), does("spam-report", "p-1")])
    arguments = ("adjust", "alice", "--reverse", "/shop", "p-1", "--reason", "not spam", "--by", "ann", "--id", "r-1")
    tried = await command(*arguments, "--dry-run")
    assert (tried.exit_code, tried.stdout) == (0, "posted. alice has 40 points available. Nothing was done.\n")
    for _ in range(2):
        done = await command(*arguments)
        assert (done.exit_code, done.stdout) == (0, "r-1: posted. alice has 40 points available.\n"), done.stderr
    again = await command(*arguments[:-1], "r-2")
    assert (again.exit_code, "refused, the event was reversed before" in again.stdout) == (1, True)
    shown = await command("member", "alice")
    assert "30 points of a penalty by spam came back (lot 1, order o-1)" in shown.stdout
    row = await ledger.fetchrow("SELECT * FROM adjustments WHERE event_id = 'r-1'")
    assert row is not None
    assert (row["reverses_source"], row["reverses_event_id"], row["moved"]) == ("/shop", "p-1", 30)
    assert (row["actor"], row["reason"], row["wallet"], row["points"]) == ("ann", "not spam", None, None)


async def test_what_an_operator_took_comes_back_too(settings: Settings, poster: Poster) -> None:
    await in_batches(poster, [consumed("o-1", cents=[4000])])
    await command("adjust", "alice", "--take", "10", "--reason", "twice", "--by", "ann", "--id", "t-1")
    arguments = ("--reverse", "/pointstream/adjustments", "t-1", "--reason", "only once", "--by", "bob")
    done = await command("adjust", "alice", *arguments)
    assert done.stdout.endswith("posted. alice has 40 points available.\n"), done.stderr


async def test_the_limit_looks_at_how_many_points_come_back(settings: Settings, ledger: Pool, poster: Poster) -> None:
    """5000 were taken or are owed; an agent may decide on 1000."""
    await in_batches(poster, [consumed("o-1", cents=[4000]), does("fraud", "p-1")])
    waiting = await command(
        "adjust", "alice", "--reverse", "/shop", "p-1", "--reason", "why", "--by", "ann", "--id", "r-1"
    )
    assert (waiting.exit_code, "waits for another person" in waiting.stdout) == (0, True), waiting.stderr
    (listed,) = orjson.loads((await command("adjustments", "list", "--json")).stdout)
    assert (listed["points"], listed["reverses"]) == (5000, {"source": "/shop", "id": "p-1"})
    done = await command("adjustments", "approve", "r-1", "--by", "bob", "--reason", "right")
    assert (done.exit_code, done.stdout) == (0, "r-1: posted. alice has 40 points available.\n")
    assert await ledger.fetchval("SELECT count(*) FROM debts") == 0


@pytest.mark.parametrize("arguments", [(), ("--give", "1", "--reverse", "/shop", "p-1")])
async def test_one_gives_takes_or_reverses(settings: Settings, arguments: tuple[str, ...]) -> None:
    result = await command("adjust", "alice", *arguments, "--reason", "x")
    assert (result.exit_code, "--reverse" in result.stderr) == (1, True)


async def test_nobody_forgets_what_was_reversed(settings: Settings) -> None:
    await assert_append_only(settings, (Role.WRITER, Role.READER), "DELETE FROM reversed_events")


async def test_both_events_are_explained(settings: Settings, poster: Poster) -> None:
    await in_batches(poster, [consumed("o-1", cents=[4000]), does("spam-report", "p-1")], [appeal("r-1", "p-1")])
    taken = await command("explain", "event", "/shop", "p-1")
    assert "What it took came back by the event r-1 of /desk." in taken.stdout
    given = await command("explain", "event", "/desk", "r-1")
    assert "It reverses the event p-1 of /shop." in given.stdout
    order = orjson.loads((await command("explain", "order", "o-1", "--member", "alice", "--json")).stdout)
    (lot,) = order["lots"]
    assert (lot["issued"], lot["left"], lot["taken_otherwise"]) == (40, 40, 0)
