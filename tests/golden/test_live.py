"""Every golden case through the live path: Kafka, the earn worker, PostgreSQL, the publisher, Redis, the expiry worker.

The same files as for the pure core, but for those that start from a given state, which only a core can be given, and
those whose events arrive between two milliseconds, which Kafka's timestamps cannot say.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import datetime
from typing import Any

import orjson
import pytest
from aiokafka import AIOKafkaProducer

from services.earn.app import ingest
from services.expiry.app import Expiry
from services.publisher.app import Publisher
from shared.cache.balances import BalanceCache
from shared.domain.ids import MemberId
from shared.domain.model import Account, Lot
from shared.domain.program import Programs
from shared.domain.settle import settle
from shared.domain.time import NEVER, Instant, datetime_of, instant_of, unix_ms
from shared.ledger import adjustments
from shared.ledger.database import Pool, Record, Role
from shared.ledger.installation import Clock, set_replay_now
from shared.ledger.post import Poster
from shared.ledger.programs import register_program
from shared.ledger.state import read_account
from shared.settings import Settings
from shared.setup import open_ledger
from tests.golden.case import Case, cases, load
from tests.golden.check import Result, check
from tests.support.installing import Make
from tests.support.running import published, running

SHARDS = 2
RENAMED = {"lot_id": "lot", "order_id": "order"}
"""What golden cases call these."""

AT_ONCE = 4
"""Cases under way at the same time: most of each is waiting."""

LIMIT_S = 120


def live_cases() -> dict[str, Case]:
    found = {path.stem: load(path) for path in cases()}
    return {
        name: case
        for name, case in found.items()
        if not case.given and all(instant_of(event.arrived_at) % 1000 == 0 for event in case.events)
    }


CASES = live_cases()


@pytest.fixture(scope="module")
async def results(make_installations: Make) -> AsyncIterator[dict[str, "asyncio.Task[Result]"]]:
    """All cases, each in an installation of its own, some at a time."""
    turn = asyncio.Semaphore(AT_ONCE)

    async def run_in_turn(case: Case) -> Result:
        async with turn, asyncio.timeout(LIMIT_S):
            return await run(case, await install(case, make_installations))

    tasks = {name: asyncio.create_task(run_in_turn(case)) for name, case in CASES.items()}
    yield tasks
    for task in tasks.values():
        task.cancel()
    await asyncio.gather(*tasks.values(), return_exceptions=True)


@pytest.mark.parametrize("name", CASES)
async def test_live(name: str, results: dict[str, "asyncio.Task[Result]"]) -> None:
    check(CASES[name], await results[name])


async def install(case: Case, make: Make) -> Settings:
    """An installation with all program versions of the case, in replay time."""
    texts = [json.dumps(program) for program in case.programs]
    settings = await make(program=texts[0], clock=Clock.REPLAY, shards=SHARDS, topics=True)
    async with open_ledger(settings, Role.WRITER) as pool, pool.acquire() as connection:
        for text in texts[1:]:
            await register_program(connection, text, "program")
    return settings


def _points_by_line(kept: dict[str, Any]) -> dict[str, dict[str, int]]:
    return {
        line_id: {rule: shares[index] for rule, shares in kept["points"].items()}
        for index, line_id in enumerate(kept["line_id"])
    }


async def run(case: Case, settings: Settings) -> Result:
    """Send the events, look at what members see, then let time pass, and read what was published."""
    programs = Programs([document.to_domain() for document in case.documents])
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(open_ledger(settings, Role.WRITER))
        await stack.enter_async_context(running(ingest(settings), Publisher(settings)))
        await send_all(case, settings, pool, programs)
        outcomes = {row["event_id"]: row["outcome"] for row in await pool.fetch("SELECT * FROM consumed_events")}
        rows = await pool.fetch("SELECT order_id, lines FROM orders")
        kept = {row["order_id"]: orjson.loads(row["lines"]) for row in rows}
        seen = await accounts_at(case, pool)
        if case.expect.until is not None:
            await stack.enter_async_context(running(Expiry(settings)))
            await pass_time(pool, programs, instant_of(case.expect.until))
        await until_published(settings, pool)
        postings = await published_postings(settings)
        await check_redis(settings, pool)

    def at_instant(member: str, at: datetime) -> Account:
        account, _ = settle(seen[member, at], instant_of(at), programs)
        return account

    return Result(
        outcomes,
        {order_id: _points_by_line(lines) for order_id, lines in kept.items()},
        {order_id: lines.get("trimmed", {}) for order_id, lines in kept.items()},
        postings,
        lambda member, at: at_instant(member, at).balances,
        lambda member, at: open_lots(at_instant(member, at)),
    )


async def send_all(case: Case, settings: Settings, pool: Pool, programs: Programs) -> None:
    """Send the events, and return when all are consumed. Between topics and between members there is no order, and a
    budget goes to who comes first: what is another member's, or comes through another topic, waits for those before."""
    producer = AIOKafkaProducer(bootstrap_servers=settings.kafka, acks="all")
    poster = Poster(pool, programs, SHARDS)
    await producer.start()
    try:
        before = None
        for sent, event in enumerate(case.events):
            topic, member_id = event.contract.topic, event.decoded.fact.member_id
            if before != (topic, member_id):
                await consumed(pool, sent)
            before = topic, member_id
            arrived_at = instant_of(event.arrived_at)
            if topic == adjustments.TOPIC:
                await adjustments.adjust(poster, adjustments.adjustment_of(event.message, arrived_at))
                continue
            await producer.send_and_wait(
                settings.topic(topic),
                event.message,
                key=member_id.encode(),
                timestamp_ms=unix_ms(arrived_at),
            )
    finally:
        await producer.stop()
    await consumed(pool, len(case.events))


async def consumed(pool: Pool, events: int) -> None:
    """Return when so many events are consumed."""
    while await pool.fetchval("SELECT count(*) FROM consumed_events") < events:
        await asyncio.sleep(0.02)


async def accounts_at(case: Case, pool: Pool) -> dict[tuple[str, datetime], Account]:
    """What the ledger has for each instant that the case looks at, as a read loads it, with all its open lots."""
    found: dict[tuple[str, datetime], Account] = {}
    instants = {
        (member, at)
        for view in (case.expect.balances, case.expect.lots)
        for member, moments in view.items()
        for at in moments
    }
    for member, at in instants:
        read = await read_account(pool, MemberId(member), instant_of(at), SHARDS)
        account = Account(MemberId(member)) if read is None else read.account
        rows = await pool.fetch("SELECT * FROM lots WHERE member_id = $1 AND remaining > 0", member)
        others = {row["lot_id"]: _lot(row) for row in rows if row["lot_id"] not in account.lots}
        found[member, at] = replace(account, lots={**account.lots, **others})
    return found


def _lot(row: Record) -> Lot:
    columns = (
        "lot_id",
        "wallet",
        "order_id",
        "issued",
        "remaining",
        "activates_at",
        "expires_at",
        "expired",
        "waits_for",
    )
    return Lot(*(row[column] for column in columns))


async def pass_time(pool: Pool, programs: Programs, until: Instant) -> None:
    async with pool.acquire() as connection:
        await set_replay_now(connection, Instant(until + programs.allowed_lateness_us))
    while await pool.fetchval("SELECT count(*) FROM accounts WHERE next_due_at <= $1", until):
        await asyncio.sleep(0.02)


async def until_published(settings: Settings, pool: Pool) -> None:
    count = await pool.fetchval("SELECT count(*) FROM postings")
    while len(await published(settings, SHARDS)) < count:
        await asyncio.sleep(0.02)


async def published_postings(settings: Settings) -> dict[str, list[dict[str, Any]]]:
    """What a reader of points-changed sees, by member."""
    found: dict[str, list[dict[str, Any]]] = {}
    for record in await published(settings, SHARDS):
        data = orjson.loads(record.value)
        movements = [
            {RENAMED.get(name, name): value for name, value in movement.items()} for movement in data["movements"]
        ]
        found.setdefault(data["member_id"], []).append(
            {
                "version": data["version"],
                "kind": data["kind"],
                "occurred_at": datetime.fromisoformat(data["occurred_at"]),
                "effective_at": datetime.fromisoformat(data["effective_at"]),
                "event": None if data["event"] is None else data["event"]["id"],
                "program_version": data["program_version"],
                "movements": movements,
            }
        )
    return found


async def check_redis(settings: Settings, pool: Pool) -> None:
    """Redis shows what the ledger has."""
    cache = BalanceCache(settings.redis, settings.installation, SHARDS)
    try:
        for row in await pool.fetch("SELECT member_id, version, balances, next_due_at FROM accounts"):
            while (entry := await cache.read(row["member_id"])) is None or entry.version < row["version"]:
                await asyncio.sleep(0.02)
            assert (entry.version, entry.next_due_at) == (row["version"], row["next_due_at"])
            assert orjson.loads(entry.balances) == orjson.loads(row["balances"])
    finally:
        await cache.close()


def open_lots(account: Account) -> list[dict[str, Any]]:
    return [
        {
            "lot": lot.lot_id,
            "wallet": lot.wallet,
            "order": lot.order_id,
            "issued": lot.issued,
            "remaining": lot.remaining,
            "activates_at": None if lot.activates_at in (None, NEVER) else datetime_of(lot.activates_at),
            "expires_at": None if lot.expires_at is None else datetime_of(lot.expires_at),
        }
        for lot in account.lots.values()
        if lot.remaining
    ]
