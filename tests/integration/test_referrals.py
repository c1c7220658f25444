"""A referral moves the points of two members in one transaction, whoever else works on them at the same time."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from hashlib import blake2b
from random import Random

import pytest

from services.cli.verify.run import verify
from shared.contracts import behaviour
from shared.domain.decide import decide_all
from shared.domain.facts import Behaviour, Event, EventRef
from shared.domain.ids import EventId, EventSource, MemberId
from shared.domain.model import Account, Movement
from shared.domain.program import Programs
from shared.domain.time import DAY_US, Instant, rfc3339
from shared.ledger.batch import Batch, Consumed
from shared.ledger.database import Pool, Role, open_pool
from shared.ledger.history import read_event
from shared.ledger.post import post
from shared.ledger.programs import load_programs
from shared.ledger.read import BEFORE_NOTHING, read_statement
from shared.settings import Settings
from shared.setup import open_ledger
from tests.integration.reading import HandClock, api
from tests.support.installing import Make
from tests.support.orders import NOON, consumed, data_of, message_of, refund_consumed

PROGRAM = """
program: shop
version: 1
effective_from: "2020-01-01T00:00:00Z"
zone: UTC
currency: USD
late_tolerance: 36500d
refunds: {shortfall: debt}
wallets:
  points: {spendable: true, expiry: {months: 12}}
  growth: {spendable: false, expiry: never}
rules:
  - {id: growth, wallet: growth, rate: 1}
referrals:
  - id: invite
    behaviour: invite
    inviter: {wallet: points, points: 500}
    invited: {wallet: points, points: 200}
    first_order: {from: 50}
    pending: {days: 14}
    times: {per: month, at_most: 3}
"""
SHARDS = 4
LATER = Instant(NOON + 1)


@pytest.fixture
async def settings(make_installation: Make) -> Settings:
    return await make_installation(PROGRAM, topics=True)


@pytest.fixture
async def ledger(settings: Settings) -> AsyncIterator[Pool]:
    async with open_ledger(settings, Role.WRITER) as pool:
        yield pool


@pytest.fixture
async def programs(ledger: Pool) -> Programs:
    async with ledger.acquire() as connection:
        return await load_programs(connection)


def invitation(inviter: str, invited: str, at: Instant = NOON) -> Consumed:
    event_id = EventId(f"{inviter} invites {invited} at {at}")
    fact = Behaviour(MemberId(inviter), "invite", None, invited, at)
    ref = EventRef(EventSource("/shop"), event_id, behaviour.TYPE)
    digest = blake2b(event_id.encode(), digest_size=16).digest()
    return Consumed(Event(ref, at, fact), digest, message_of(event_id.encode(), 0, at))


def order(order_id: str, member_id: str, at: Instant = LATER, cents: int = 6000) -> Consumed:
    return consumed(order_id, member_id, [cents], at)


def arriving(events: Sequence[Consumed], at: Instant) -> list[Consumed]:
    """The events as they arrive one after the other, whenever they happened."""
    return [
        replace(item, event=replace(item.event, arrived_at=Instant(at + number))) for number, item in enumerate(events)
    ]


async def points(ledger: Pool) -> dict[str, dict[str, int]]:
    rows = await ledger.fetch(
        "SELECT member_id, key, value::bigint FROM accounts, json_each_text(balances -> 'points') WHERE value <> '0'"
    )
    found: dict[str, dict[str, int]] = {}
    for row in rows:
        found.setdefault(row["member_id"], {})[row["key"]] = row["value"]
    return found


async def in_turn(ledger: Pool, programs: Programs, *batches: Sequence[Consumed]) -> None:
    for events in batches:
        await post(ledger, Batch(events=list(events)), programs, SHARDS)


HAS_INVITED = {"issued": -500, "pending": 500}
WAS_INVITED = {"issued": -200, "pending": 200}
BOTH_LOST = [{"issued": -500, "clawed_back": 500}, {"issued": -200, "clawed_back": 200}]


@pytest.mark.parametrize("same_batch", [True, False])
@pytest.mark.parametrize("order_first", [True, False])
async def test_both_get_their_points_and_a_refund_takes_them(
    ledger: Pool, programs: Programs, same_batch: bool, order_first: bool
) -> None:
    events = [invitation("ann", "ben"), order("o-1", "ben")]
    events = arriving(events[::-1] if order_first else events, Instant(NOON + DAY_US))
    await in_turn(ledger, programs, *([events] if same_batch else [[event] for event in events]))
    assert await points(ledger) == {"ann": HAS_INVITED, "ben": WAS_INVITED}
    await in_turn(ledger, programs, [refund_consumed("o-1", "ben", Instant(NOON + 2 * DAY_US))])
    found = await points(ledger)
    assert [found["ann"], found["ben"]] == BOTH_LOST


async def test_the_postings_name_the_event_and_stand_beside_its_own(ledger: Pool, programs: Programs) -> None:
    await in_turn(ledger, programs, [invitation("ann", "ben"), order("o-1", "ben")])
    rows = await ledger.fetch(
        "SELECT member_id, kind, order_id, follows FROM postings WHERE event_id = 'o-1' ORDER BY 1, 4"
    )
    assert [tuple(row) for row in rows] == [
        ("ann", "accrual", None, True),
        ("ben", "accrual", "o-1", False),
        ("ben", "accrual", "o-1", True),
    ]


async def test_an_event_is_explained_with_what_follows_from_it(ledger: Pool, programs: Programs) -> None:
    await in_turn(ledger, programs, [order("o-1", "ben")], [invitation("ann", "ben")])
    async with ledger.acquire() as connection:
        found = await read_event(connection, EventSource("/shop"), EventId(f"ann invites ben at {NOON}"), SHARDS)
    assert found is not None
    assert (found.member_id, found.outcome) == ("ann", "referred")
    told = [(entry.posting.member_id, entry.posting.movements[0].amount) for entry in found.following]
    assert told == [("ann", 500), ("ben", 200)]


async def test_a_preview_of_the_first_order_shows_what_the_member_would_get(
    settings: Settings, ledger: Pool, programs: Programs
) -> None:
    await in_turn(ledger, programs, [invitation("ann", "ben")])
    async with api(settings, HandClock(rfc3339(LATER))) as client:
        answer = await client.post("/v1/preview/order", json=data_of("o-1", "ben", [6000], LATER))
    assert answer.json()["wallets"]["points"]["pending"] == 200
    assert await points(ledger) == {}


async def test_the_ledger_agrees_with_itself_afterwards(settings: Settings, ledger: Pool, programs: Programs) -> None:
    given = [invitation("ann", "ben"), order("o-1", "ben"), invitation("cid", "dan"), order("o-2", "dan")]
    await in_turn(ledger, programs, given, [refund_consumed("o-1", "ben")])
    found = await verify(settings, topic=False, redis=False)
    assert (found.clean, found.differences) == (True, ())


async def test_whose_orders_meet_in_two_batches_in_opposite_order_get_everything(
    ledger: Pool, programs: Programs
) -> None:
    """Each has invited the other, so an order of either locks both; twenty pairs, and each batch goes through them from
    another end."""
    pairs = [(f"a-{number}", f"b-{number}") for number in range(20)]
    await in_turn(ledger, programs, [invitation(a, b) for a, b in pairs] + [invitation(b, a) for a, b in pairs])
    by_first = [order(f"o-{a}", a) for a, _ in pairs]
    by_second = [order(f"o-{b}", b) for _, b in reversed(pairs)]
    batches = [by_first[:10], by_second[:10], by_first[10:], by_second[10:]]
    await asyncio.gather(*(post(ledger, Batch(events=events), programs, SHARDS) for events in batches))
    both = {"issued": -700, "pending": 700}
    assert await points(ledger) == {member: both for pair in pairs for member in pair}


async def test_an_invitation_and_an_order_see_each_other_when_two_workers_have_them_and_nobody_knows_the_members(
    ledger: Pool, programs: Programs
) -> None:
    pairs = [(f"a-{number}", f"b-{number}") for number in range(30)]
    invitations = [Batch(events=[invitation(a, b)]) for a, b in pairs]
    orders = [Batch(events=[order(f"o-{b}", b)]) for _, b in pairs]
    await asyncio.gather(
        *(post(ledger, batch, programs, SHARDS) for both in zip(invitations, orders, strict=True) for batch in both)
    )
    expected = {a: HAS_INVITED for a, _ in pairs} | {b: WAS_INVITED for _, b in pairs}
    assert await points(ledger) == expected


async def test_of_two_who_invite_at_the_same_time_the_earlier_one_is_rewarded(ledger: Pool, programs: Programs) -> None:
    invited = [f"b-{number}" for number in range(20)]
    batches = [
        Batch(events=[invitation(f"{name}-{each}", each, at)])
        for each in invited
        for name, at in (("late", Instant(NOON + 1)), ("early", NOON))
    ]
    await asyncio.gather(*(post(ledger, batch, programs, SHARDS) for batch in batches))
    await in_turn(ledger, programs, [order(f"o-{each}", each, Instant(NOON + 2)) for each in invited])
    expected = dict.fromkeys(invited, WAS_INVITED) | {f"early-{each}": HAS_INVITED for each in invited}
    assert await points(ledger) == expected


async def test_who_invites_the_same_members_as_many_others_at_the_same_time_never_gives_up(
    settings: Settings, ledger: Pool, programs: Programs
) -> None:
    """Twelve batches that all wait for the same accounts, and find nearly each time that somebody has changed one."""
    random, inviters, invited = Random(12), [f"a-{number}" for number in range(12)], [f"b-{n}" for n in range(40)]
    at = {(a, b): Instant(NOON - random.randrange(10**9)) for a in inviters for b in invited}
    batches = [Batch(events=[invitation(a, b, at[a, b]) for b in invited]) for a in inviters]
    async with AsyncExitStack() as closing:
        pool = await open_pool(settings.database, Role.WRITER, max_size=len(inviters))
        closing.callback(pool.terminate)
        async with AsyncExitStack() as connected:  # so that none has to wait for a connection
            for _ in inviters:
                await connected.enter_async_context(pool.acquire())
        await asyncio.gather(*(post(pool, batch, programs, SHARDS) for batch in batches))
    rows = await ledger.fetch("SELECT member_id, inviter_id FROM referrals")
    assert dict(map(tuple, rows)) == {b: min(inviters, key=lambda a, b=b: (at[a, b], a)) for b in invited}


async def test_the_ledger_loads_all_that_the_core_asks_for(ledger: Pool, programs: Programs) -> None:
    """Random streams in random batches come to what the core makes of them with all accounts at hand."""
    random = Random(20260310)
    for stream in range(12):
        events = stream_of(random, stream)
        cuts = sorted(random.sample(range(1, len(events)), 6))
        batches = [events[first:last] for first, last in zip([0, *cuts], [*cuts, len(events)], strict=True)]
        await in_turn(ledger, programs, *batches)
        accounts, moved = through_the_core(events, programs)
        for member_id in sorted(accounts):
            assert await movements(ledger, member_id) == moved[member_id], f"stream {stream}, {member_id}"


def stream_of(random: Random, stream: int) -> list[Consumed]:
    members = [f"m-{stream}-{number}" for number in range(4)]
    events: list[Consumed] = []
    for number in range(8):
        member = random.choice(members)
        at = Instant(NOON + random.randrange(20) * DAY_US)
        events.append(order(f"o-{stream}-{number}", member, at, random.choice((1000, 6000, 6000))))
        if random.random() < 0.5:
            events.append(refund_consumed(f"o-{stream}-{number}", member, Instant(at + DAY_US)))
    for _ in range(8):
        inviter, invited = random.choices(members, k=2)
        events.append(invitation(inviter, invited, Instant(NOON + random.randrange(20) * DAY_US)))
    unique = list({item.event.ref.event_id: item for item in events}.values())
    random.shuffle(unique)
    start = NOON + random.choice((20, 60)) * DAY_US
    return [
        replace(item, event=replace(item.event, arrived_at=Instant(start + number * DAY_US)))
        for number, item in enumerate(unique)
    ]


def through_the_core(
    events: Sequence[Consumed], programs: Programs
) -> tuple[dict[MemberId, Account], dict[MemberId, list[Movement]]]:
    accounts: dict[MemberId, Account] = {}
    moved: dict[MemberId, list[Movement]] = {}

    def account_of(member_id: MemberId) -> Account:
        return accounts.get(member_id, Account(member_id))

    for item in events:
        for decision in decide_all(account_of, item.event, programs):
            accounts[decision.account.member_id] = decision.account
            of_member = moved.setdefault(decision.account.member_id, [])
            of_member += [movement for posting in decision.postings for movement in posting.movements]
    return accounts, moved


async def movements(ledger: Pool, member_id: MemberId) -> list[Movement]:
    async with ledger.acquire() as connection:
        entries = await read_statement(connection, member_id, BEFORE_NOTHING, 1000, SHARDS)
    return [movement for entry in reversed(entries) for movement in entry.posting.movements]
