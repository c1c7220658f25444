"""Reading a member over HTTP: balances that cannot lie, statements that can be paged, errors with a name."""

import asyncio
from base64 import urlsafe_b64encode

import httpx
import pytest

from shared.cache.balances import CachedBalance
from shared.domain.facts import Sweep
from shared.domain.ids import MemberId
from shared.ledger.batch import Batch
from shared.ledger.database import Role
from shared.ledger.installation import Clock, set_replay_now
from shared.settings import Settings
from shared.setup import open_ledger
from tests.integration.reading import (
    HandClock,
    api,
    at,
    balance_path,
    cache_of,
    paid,
    post_all,
    statement_path,
    until,
)
from tests.support.installing import Make

# 59.00 of the house brand in New York: 59 points good for three months, 29 more after 14 days, 59 growth.
ORDER = paid("M-1", "A-1", "2026-03-10T15:00:00Z", 5900, brand="Private")
ACTIVATION = "2026-03-25T04:00:00Z"
EXPIRY = "2026-06-11T04:00:00Z"
READ_AT_ONCE = 30
NOTHING = dict.fromkeys(
    (
        "available",
        "pending",
        "debt",
        "lifetime_issued",
        "expired",
        "clawed_back",
        "adjusted",
        "penalty",
        "written_off",
        "cash_offset",
    ),
    0,
)
GROWTH = {**NOTHING, "available": 59, "lifetime_issued": 59}

YEAR_END_PROGRAM = """
program: year-end
version: 1
effective_from: "2026-07-01T00:00:00Z"
zone: Asia/Shanghai
currency: USD
wallets:
  points: {spendable: true, expiry: {end_of_year: 0}}
rules:
  - {id: base, wallet: points, rate: 1}
"""


async def test_a_miss_is_answered_by_the_ledger_and_the_next_read_by_the_cache(settings: Settings) -> None:
    await post_all(settings, Batch(events=[ORDER]))
    async with api(settings, HandClock("2026-03-11T00:00:00Z")) as client:
        first, second = await client.get(balance_path("M-1")), await client.get(balance_path("M-1"))

    assert first.headers["X-Balance-Source"] == "ledger"
    assert second.headers["X-Balance-Source"] == "cache"
    assert first.json() == {
        "member_id": "M-1",
        "version": 1,
        "as_of": "2026-03-11T00:00:00Z",
        "next_due_at": ACTIVATION,
        "wallets": {
            "points": {**NOTHING, "available": 59, "pending": 29, "lifetime_issued": 88},
            "growth": GROWTH,
        },
    }
    assert second.json() == first.json()


async def test_a_cached_balance_shows_every_wallet_of_the_program(settings: Settings) -> None:
    async with cache_of(settings) as cache, api(settings, HandClock("2026-03-11T00:00:00Z")) as client:
        held = (
            b'{"points": {"issued": -70, "available": 30, "debt": -30, "expired": 10, "clawed_back": 60,'
            b' "adjusted": 15, "penalty": 5, "written_off": -12, "cash_offset": -8}}'
        )
        await cache.refill(CachedBalance(MemberId("M-1"), 7, None, held), 0)
        answer = await client.get(balance_path("M-1"))

    assert answer.headers["X-Balance-Source"] == "cache"
    assert answer.json()["version"] == 7
    assert answer.json()["next_due_at"] is None
    assert answer.json()["wallets"] == {
        "points": {
            "available": 30,
            "pending": 0,
            "debt": 30,
            "lifetime_issued": 70,
            "expired": 10,
            "clawed_back": 60,
            "adjusted": 15,
            "penalty": 5,
            "written_off": 12,
            "cash_offset": 8,
        },
        "growth": NOTHING,
    }


@pytest.mark.parametrize("warm", [True, False], ids=["cached", "not cached"])
async def test_points_end_at_their_instant_with_no_worker_running(make_installation: Make, warm: bool) -> None:
    """G16: good through 31 December in Shanghai."""
    settings = await make_installation(YEAR_END_PROGRAM)
    await post_all(settings, Batch(events=[paid("M-1", "A-1", "2026-12-01T02:00:00Z", 10000)]))
    clock = HandClock("2026-12-01T03:00:00Z")
    async with api(settings, clock) as client:
        if warm:
            await client.get(balance_path("M-1"))
        clock.now = "2026-12-31T15:59:59.999Z"
        before = (await client.get(balance_path("M-1"))).json()
        clock.now = "2026-12-31T16:00:00Z"
        after = (await client.get(balance_path("M-1"))).json()
        again = (await client.get(balance_path("M-1"))).json()
        statement = (await client.get(statement_path("M-1"))).json()

    assert before["next_due_at"] == "2026-12-31T16:00:00Z"
    assert before["wallets"] == {"points": {**NOTHING, "available": 100, "lifetime_issued": 100}}
    assert after["as_of"] == "2026-12-31T16:00:00Z"
    assert after["next_due_at"] is None
    assert after["wallets"] == {"points": {**NOTHING, "expired": 100, "lifetime_issued": 100}}
    assert again == after
    # Nothing was written for it: both the journal and the version are those of before.
    assert after["version"] == before["version"] == 1
    assert len(statement["entries"]) == 1


async def test_pending_points_become_available_at_their_instant(settings: Settings) -> None:
    await post_all(settings, Batch(events=[ORDER]))
    clock = HandClock("2026-03-25T03:59:59.999999Z")
    async with api(settings, clock) as client:
        before = (await client.get(balance_path("M-1"))).json()
        clock.now = ACTIVATION
        after = (await client.get(balance_path("M-1"))).json()

    assert before["wallets"]["points"]["pending"] == 29
    assert after["wallets"]["points"] == {**NOTHING, "available": 88, "lifetime_issued": 88}
    assert after["next_due_at"] == EXPIRY


async def test_a_refill_does_not_replace_a_newer_version(settings: Settings) -> None:
    await post_all(settings, Batch(events=[ORDER]))
    newer = CachedBalance(MemberId("M-1"), 5, at("2026-03-12T00:00:00Z"), b'{"points":{"issued":-1,"available":1}}')
    async with cache_of(settings) as cache, api(settings, HandClock("2026-03-11T00:00:00Z")) as client:
        # The reader misses; before it refills, the publisher writes what came after the reader's state.
        await asyncio.gather(*(client.get(balance_path("M-1")) for _ in range(20)), cache.refill(newer, 9))
        older = CachedBalance(MemberId("M-1"), 1, None, b"{}")
        await cache.refill(older, 9)
        assert await cache.read(MemberId("M-1")) == newer
        # A reader whom Redis did not answer in time leaves it alone for a moment, and asks the ledger.
        await until(lambda: is_from_cache(client, "M-1"))
        assert (await client.get(balance_path("M-1"))).json()["version"] == 5


async def is_from_cache(client: httpx.AsyncClient, member_id: str) -> bool:
    return (await client.get(balance_path(member_id))).headers["X-Balance-Source"] == "cache"


async def test_an_account_that_is_settled_meanwhile_is_never_seen_half(settings: Settings) -> None:
    members = [f"M-{number}" for number in range(300)]
    await post_all(settings, Batch(events=[paid(name, "A-1", "2026-03-10T15:00:00Z", 5900) for name in members]))
    async with api(settings, HandClock(EXPIRY)) as client:

        async def settle_them() -> None:
            for first in range(0, len(members), 50):
                sweeps = [Sweep(MemberId(name), at(EXPIRY)) for name in members[first : first + 50]]
                await post_all(settings, Batch(sweeps=sweeps))

        settling = asyncio.create_task(settle_them())
        while not settling.done():
            # Not all at once: reads that wait too long for a connection are turned away.
            for first in range(0, len(members), READ_AT_ONCE):
                some = [client.get(balance_path(name)) for name in members[first : first + READ_AT_ONCE]]
                for answer in await asyncio.gather(*some):
                    assert answer.json()["wallets"]["points"] == {**NOTHING, "expired": 59, "lifetime_issued": 59}
        await settling


async def test_a_replay_lives_in_its_own_time(make_installation: Make) -> None:
    settings = await make_installation(clock=Clock.REPLAY)
    await post_all(settings, Batch(events=[ORDER]))
    async with api(settings, HandClock("2030-01-01T00:00:00Z")) as client:
        for _ in range(2):
            unbegun = (await client.get(balance_path("M-1"))).json()
            assert unbegun["as_of"] == "2026-03-10T15:00:00Z"
            assert unbegun["wallets"]["points"]["pending"] == 29
        async with open_ledger(settings, Role.WRITER) as pool, pool.acquire() as writer:
            await set_replay_now(writer, at("2026-06-11T04:00:00Z"))

        async def has_come_there() -> bool:
            return bool((await client.get(balance_path("M-1"))).json()["as_of"] == EXPIRY)

        await until(has_come_there)
        balance = (await client.get(balance_path("M-1"))).json()
    assert balance["wallets"]["points"] == {**NOTHING, "available": 29, "expired": 59, "lifetime_issued": 88}


async def test_a_statement_entry_tells_where_every_point_came_from(settings: Settings) -> None:
    await post_all(settings, Batch(events=[ORDER]))
    await post_all(settings, Batch(sweeps=[Sweep(MemberId("M-1"), at(ACTIVATION))]))
    async with api(settings, HandClock(ACTIVATION)) as client:
        statement = (await client.get(statement_path("M-1"))).json()

    settlement, accrual = statement["entries"]
    assert statement["next_cursor"] is None
    assert accrual.pop("recorded_at") <= settlement.pop("recorded_at")
    issued = {"wallet": "points", "from": "issued", "order": "A-1"}
    assert accrual == {
        "version": 1,
        "kind": "accrual",
        "occurred_at": "2026-03-10T15:00:00Z",
        "effective_at": "2026-03-10T15:00:00Z",
        "program_version": 1,
        "order_id": "A-1",
        "event": {"source": "/shop", "id": "M-1/A-1", "type": "pointstream.order-paid.v1"},
        "movements": [
            {**issued, "to": "available", "amount": 59, "rule": "base", "lot": 1},
            {**issued, "to": "pending", "amount": 29, "rule": "house-brand", "lot": 2},
            {**issued, "wallet": "growth", "to": "available", "amount": 59, "rule": "growth", "lot": None},
        ],
        "balances": {
            "points": {**NOTHING, "available": 59, "pending": 29, "lifetime_issued": 88},
            "growth": GROWTH,
        },
    }
    assert settlement["kind"] == "settlement"
    assert settlement["event"] is None
    assert settlement["occurred_at"] == ACTIVATION
    assert settlement["movements"] == [
        {
            "wallet": "points",
            "from": "pending",
            "to": "available",
            "amount": 29,
            "rule": None,
            "lot": 2,
            "order": "A-1",
        }
    ]


async def test_paging_gives_each_posting_once_while_new_ones_come_in(settings: Settings) -> None:
    orders = [paid("M-1", f"A-{number}", "2026-03-10T15:00:00Z", 1000) for number in range(8)]
    await post_all(settings, Batch(events=orders[:7]))
    seen: list[int] = []
    sizes: list[int] = []
    async with api(settings, HandClock("2026-03-11T00:00:00Z")) as client:
        parameters: dict[str, str | int] = {"limit": 3}
        while parameters.get("cursor", "first") is not None:
            page = (await client.get(statement_path("M-1"), params=parameters)).json()
            seen += [entry["version"] for entry in page["entries"]]
            sizes.append(len(page["entries"]))
            parameters["cursor"] = page["next_cursor"]
            await post_all(settings, Batch(events=orders[7:]))
    assert seen == [7, 6, 5, 4, 3, 2, 1]
    assert sizes == [3, 3, 1]


async def test_a_cursor_counts_only_as_it_was_given(settings: Settings) -> None:
    orders = [paid(name, f"A-{number}", "2026-03-10T15:00:00Z", 1000) for name in ("M-1", "M-2") for number in (1, 2)]
    await post_all(settings, Batch(events=orders))
    async with api(settings, HandClock("2026-03-11T00:00:00Z")) as client:
        page = (await client.get(statement_path("M-2"), params={"limit": 1})).json()
        cursor = page["next_cursor"]
        assert (await client.get(statement_path("M-2"), params={"cursor": cursor})).status_code == 200
        damaged = ("A" if cursor[-1] != "A" else "B").join([cursor[:-1], ""])
        forged = urlsafe_b64encode(b"\x01" + b"\xff" * 14).decode()
        for wrong in ("", "3", "é", damaged, f"{cursor}!", f"{cursor}====", forged):
            answer = await client.get(statement_path("M-2"), params={"cursor": wrong})
            assert (answer.status_code, answer.json()["type"]) == (400, "/problems/invalid-cursor"), wrong
        others = await client.get(statement_path("M-1"), params={"cursor": cursor})
        assert others.json()["type"] == "/problems/invalid-cursor"


@pytest.mark.parametrize(
    "member_id",
    ["a/b", "/", "x/balance", "x/statement", " ", "..", "a?b#c%2F", "line\nbreak", "会员", "\ufffd", "é" * 128],
)
async def test_a_member_id_may_have_any_character_in_it(settings: Settings, member_id: str) -> None:
    await post_all(settings, Batch(events=[paid(member_id, "A-1", "2026-03-10T15:00:00Z", 1000)]))
    path = balance_path(member_id).replace(".", "%2E")
    async with api(settings, HandClock("2026-03-11T00:00:00Z")) as client:
        for _ in ("ledger", "cache"):
            answer = await client.get(path)
            assert answer.json()["member_id"] == member_id
            assert answer.json()["wallets"]["points"]["available"] == 10
        assert (await client.get(statement_path(member_id).replace(".", "%2E"))).json()["member_id"] == member_id


@pytest.mark.parametrize(
    ("path", "status", "problem", "says"),
    [
        (balance_path("nobody"), 404, "member-not-found", "'nobody'"),
        (statement_path("nobody"), 404, "member-not-found", "'nobody'"),
        (balance_path("m" * 129), 422, "invalid-request", "path.member_id"),
        (balance_path(""), 422, "invalid-request", "path.member_id"),
        (balance_path("m\0"), 422, "invalid-request", "path.member_id"),
        ("/v1/members/%FF/balance", 422, "invalid-request", "path.member_id"),
        (statement_path("nobody") + "?limit=0", 422, "invalid-request", "query.limit"),
        (statement_path("nobody") + "?limit=201", 422, "invalid-request", "query.limit"),
        (statement_path("nobody") + "?limit=many", 422, "invalid-request", "query.limit"),
        (statement_path("nobody") + f"?cursor={'c' * 65}", 422, "invalid-request", "query.cursor"),
        ("/v1/members/nobody", 404, "not-found", "/openapi.json"),
        ("/health/ready/", 404, "not-found", "/openapi.json"),
    ],
)
async def test_every_error_is_a_problem_with_a_name(
    settings: Settings, path: str, status: int, problem: str, says: str
) -> None:
    async with api(settings, HandClock("2026-03-11T00:00:00Z")) as client:
        answer = await client.get(path)
    assert answer.status_code == status
    assert answer.headers["Content-Type"] == "application/problem+json"
    document = answer.json()
    assert (document["type"], document["status"]) == (f"/problems/{problem}", status)
    assert document["instance"] == path.partition("?")[0]
    assert document["title"]
    assert says in document["detail"]


async def test_a_method_that_is_not_there_is_a_problem_too(settings: Settings) -> None:
    async with api(settings, HandClock("2026-03-11T00:00:00Z")) as client:
        answer = await client.post(balance_path("M-1"))
    assert (answer.status_code, answer.headers["Allow"]) == (405, "GET")
    assert answer.json()["type"] == "/problems/method-not-allowed"
