"""The main job on a month of real baskets: what comes through Kafka is what the pure core says, and twice is once."""

import asyncio
import os
import secrets
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import orjson
import pytest

from deploy.stack import Addresses
from services.cli.baskets import read_baskets
from services.cli.returns import RULE, SEED, with_returns
from services.cli.simulate import report
from shared.contracts import refund
from shared.contracts.program import parse_program
from shared.domain.program import Programs
from shared.domain.time import Instant, rfc3339
from shared.ledger.database import Pool, Role
from shared.ledger.installation import drop_database
from shared.settings import Settings
from shared.setup import open_ledger
from shared.simulation import Simulation
from shared.stream.topics import delete_topics

FIRST, LAST = date(2017, 3, 1), date(2017, 3, 31)
PROGRAM = (
    (Path(__file__).parents[2] / "programs" / "loyalty-card.yaml")
    .read_text()
    .replace("{months: 3}", "{days: 9}")
    .replace("pending: {days: 14}", "pending: {days: 4}")
)
"""The program of the demo, but so short-lived that within a month much becomes active, expires, and is taken back."""


@dataclass(frozen=True)
class Replayed:
    """An installation after a month was replayed into it twice, with what the two runs reported."""

    settings: Settings
    first: dict[str, Any]
    second: dict[str, Any]


@pytest.fixture(scope="module")
async def replayed(stack: Addresses, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Replayed]:
    program = tmp_path_factory.mktemp("program") / "program.yaml"
    program.write_text(PROGRAM)
    settings = Settings(
        installation=f"t_{secrets.token_hex(4)}",
        kafka=stack.kafka,
        postgres=stack.postgres,
        redis=stack.redis,
        program=program,
    )
    try:
        yield Replayed(settings, await replay(settings), await replay(settings))
    finally:
        await drop_database(settings.postgres, settings.installation)
        await delete_topics(settings)


async def replay(settings: Settings) -> dict[str, Any]:
    """Run the command; its report."""
    servers = {name: getattr(settings, name) for name in ("kafka", "postgres", "redis")}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "services.cli.main",
        "replay",
        *("--from", str(FIRST), "--to", str(LAST), "--json"),
        *("--program", str(settings.program), "--installation", settings.installation),
        env={**os.environ, **{f"POINTSTREAM_{name.upper()}": value for name, value in servers.items()}},
        cwd=Path(__file__).parent,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, log = await process.communicate()
    assert process.returncode == 0, log.decode()
    found: dict[str, Any] = orjson.loads(output)
    return found


async def test_every_basket_comes_to_something_and_the_books_agree(replayed: Replayed) -> None:
    events = sum(1 for _ in with_returns(read_baskets(FIRST, LAST)))
    assert replayed.first["run"]["sent"] == sum(replayed.first["outcomes"].values()) == events
    assert replayed.first["differences"] == []
    assert replayed.first["cached_members"] == replayed.first["members"] > 1_000
    assert replayed.first["balances"]["points"]["expired"] > 0


async def test_returns_are_told_as_simulated_and_take_points_from_wherever_they_are(replayed: Replayed) -> None:
    events = list(with_returns(read_baskets(FIRST, LAST)))
    returns = replayed.first["returns"]
    assert (returns["seed"], returns["rule"]) == (SEED, RULE)
    assert returns["refunds"] == sum(event.event_type == refund.TYPE for event in events) > 200
    assert 0 < returns["before_order"] == replayed.first["outcomes"]["waiting_for_order"]
    assert all(returns["taken"][source] > 0 for source in ("pending", "available", "expired"))
    assert sum(returns["taken"].values()) == replayed.first["balances"]["points"]["clawed_back"]


async def test_the_second_time_changes_nothing(replayed: Replayed) -> None:
    assert replayed.first["run"]["postings"] > 0
    assert replayed.second["run"]["postings"] == 0
    parts = ("outcomes", "orders", "members", "given", "returns", "top", "balances", "differences")
    assert {part: replayed.first[part] for part in parts} == {part: replayed.second[part] for part in parts}


async def test_the_same_events_give_the_same_postings_without_a_server(replayed: Replayed) -> None:
    simulation = Simulation(Programs([parse_program(PROGRAM).to_domain()]))
    for event in with_returns(read_baskets(FIRST, LAST)):
        simulation.feed(event.value, event.headers(), event.arrived_at)
    simulation.settle(Instant(replayed.first["run"]["until"]))
    simulated = {
        member_id: member["postings"]
        for member_id, member in report(simulation)["members"].items()
        if member["postings"]
    }
    async with open_ledger(replayed.settings, Role.READER) as ledger:
        live = await postings_of(ledger)
    assert live.keys() == simulated.keys()
    for member_id, postings in simulated.items():
        assert live[member_id] == orjson.loads(orjson.dumps(postings, option=orjson.OPT_NON_STR_KEYS)), member_id


async def postings_of(ledger: Pool) -> dict[str, list[dict[str, Any]]]:
    """All postings by member, in the form of the simulation's report."""
    movements: dict[tuple[int, int], list[dict[str, Any]]] = {}
    for row in await ledger.fetch("SELECT * FROM movements ORDER BY shard, pos, seq"):
        movements.setdefault((row["shard"], row["pos"]), []).append(
            {
                "wallet": row["wallet"],
                "from": row["from_bucket"],
                "to": row["to_bucket"],
                "amount": row["amount"],
                "rule": row["rule_id"],
                "lot_id": row["lot_id"],
                "order_id": row["order_id"],
            }
        )
    found: dict[str, list[dict[str, Any]]] = {}
    for row in await ledger.fetch("SELECT * FROM postings ORDER BY shard, member_id, version"):
        found.setdefault(row["member_id"], []).append(
            {
                "version": row["version"],
                "kind": row["kind"],
                "event_id": row["event_id"],
                "order_id": row["order_id"],
                "program_version": row["program_version"],
                "occurred_at": rfc3339(row["occurred_at"]),
                "effective_at": rfc3339(row["effective_at"]),
                "movements": movements[row["shard"], row["pos"]],
                "balances": orjson.loads(row["balances"]),
            }
        )
    return found
