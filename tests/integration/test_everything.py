"""Everything at once: random programs with caps, budgets, referrals, habits and penalties, and random streams of all
kinds of facts, through the one way into the ledger. `SEED=…` repeats a stream."""

import asyncio
import json
import os
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from random import Random
from typing import Any

import orjson
import pytest

from services.cli.verify.run import verify
from shared.contracts import adjustment, behaviour, check_in, member, order_paid, refund
from shared.contracts.contract import Contract
from shared.domain.budget import Leases, after
from shared.domain.decide import decide_all
from shared.domain.facts import Appeal, Event, Sweep
from shared.domain.ids import MemberId
from shared.domain.model import Account, Outcome, Posting
from shared.domain.program import Program, Programs
from shared.domain.program_budgets import Budget
from shared.domain.time import Instant, instant_of
from shared.ledger.adjustments import NoMessage
from shared.ledger.batch import Batch, Consumed, Posted
from shared.ledger.budgets import read_budgets
from shared.ledger.database import Pool, Role, open_pool
from shared.ledger.installation import Clock
from shared.ledger.post import post
from shared.ledger.programs import load_programs, register_program
from shared.ledger.read import BEFORE_NOTHING, read_statement
from shared.settings import Settings
from tests.property import streams
from tests.support.installing import Make

SHARDS = 4
WRITERS = 6
MEMBERS = [f"m{number}" for number in range(30)]
EVENTS = 240
DAYS = 24
"""So long a stream is; the second version of the program is in force from the middle on."""

START = streams.START
MIDDLE = START + timedelta(days=DAYS // 2)
SEEDS = [int(os.environ["SEED"])] if "SEED" in os.environ else [1, 2]

Document = dict[str, Any]


def programs_of(random: Random) -> list[Document]:
    """One version of a program or two, of which everything but the currency, the zone and the units may differ."""
    first = _program(random)
    if random.random() < 0.4:
        return [first]
    second = _program(random) | {"version": 2, "effective_from": MIDDLE.isoformat(), "zone": first["zone"]}
    return [first, second]


def _program(random: Random) -> Document:
    document = streams.capped(random, streams.program(random)) | {
        "late_tolerance": random.choice(("3d", "30d")),
        "behaviours": [
            {"id": "review", "behaviour": "review", "wallet": "points", "points": 15, "once_for": "order"},
            {
                "id": "share",
                "behaviour": "share",
                "wallet": "growth",
                "points": 8,
                "times": {"per": "day", "at_most": 2},
            },
            {"id": "spam", "behaviour": "spam", "wallet": "points", "points": -40, "floor": random.choice(FLOORS)},
            {"id": "fraud", "behaviour": "fraud", "wallet": "miles", "points": -300, "floor": "debt"},
            {"id": "abroad", "behaviour": "share", "wallet": "points", "points": 2, "when": "member.country == 'DE'"},
        ],
        "streaks": [{"id": "daily", "wallet": "points", "rewards": [3, 5, 8]}],
        "tasks": [
            {
                "id": "newbie",
                "wallet": "miles",
                "steps": [{"behaviour": "share", "points": 4}, {"behaviour": "review", "points": 6}],
                "bonus": 11,
            }
        ],
        "referrals": [_referral(random, "invite"), _referral(random, "spam")][: random.choice((1, 1, 2))],
    }
    for wallet in document["wallets"].values():
        wallet["point_cost"] = random.choice(("0.01", "0.03", "0.000001"))
    if random.random() < 0.5:
        document["rules"][0]["when"] = "member.country != 'FR'"
    if random.random() < 0.3:
        document["rules"][0]["pending"] = {"until": "delivered", "days": 5}
    if caps := document.get("caps"):
        caps += [{"id": "habits", "rules": ["review", "daily", "newbie"], "per": "week", "points": 20}]
    return document | {"budgets": [_budget(random, f"budget-{number}", document) for number in range(3)]}


MONEY = "budget-1"
"""The budget that is counted in money; versions may not differ in that."""

FLOORS = ("zero", "debt")


def _referral(random: Random, name: str) -> Document:
    sides: Document = {
        "inviter": {"wallet": random.choice(("points", "points", "growth")), "points": 50},
        "invited": {"wallet": random.choice(("points", "miles")), "points": 20},
    }
    rule = {"id": f"refer-{name}", "behaviour": name} | sides
    if random.random() < 0.2:
        del rule["invited"]
    elif random.random() < 0.2:
        del rule["inviter"]
    if random.random() < 0.5:
        rule["pending"] = {"days": random.choice((0, 2, 10))}
    if random.random() < 0.5:
        rule["first_order"] = {"from": "20"}
    if "inviter" in rule and random.random() < 0.5:
        rule["times"] = {"per": random.choice(("day", "month", "ever")), "at_most": random.choice((1, 2))}
    return rule


def _budget(random: Random, name: str, document: Document) -> Document:
    budget: Document = {"id": name, "excess": random.choice(("trim", "trim", "skip"))}
    if name == MONEY:
        budget["money"] = random.choice(("0.01", "7", "90"))
    else:
        budget["points"] = random.choice((30, 700, 20_000))
    budget |= random.choice(({}, {}, {"per": "day"}, {"per": "week"}, PERIOD))
    names = [each["id"] for kind in ("rules", "behaviours", "streaks", "tasks") for each in document[kind]]
    names = [each for each in names if each not in ("spam", "fraud")]
    if "money" in budget:
        return budget | {"rules": random.sample(names, random.randint(1, len(names)))}
    names += [each["id"] for each in document["referrals"]]
    return budget | random.choice(({}, {"rules": random.sample(names, random.randint(1, len(names)))}))


PERIOD: Document = {
    "per": "campaign",
    "during": {"from": START.isoformat(), "until": (START + timedelta(days=9)).isoformat()},
}


@dataclass
class Stream:
    """Random facts, as they arrive one after the other."""

    random: Random
    orders: list[Document] = field(default_factory=list)
    takings: list[tuple[str, str]] = field(default_factory=list)
    """Members, and the events that may have taken points from them."""
    items: list[Consumed] = field(default_factory=list)

    def __post_init__(self) -> None:
        told = [self._fact(number) for number in range(EVENTS)]
        # Neighbours may come in any order, some events long after they happened, and some twice.
        places = sorted((at + timedelta(days=self.random.choice(LATE_D)), n) for n, (at, _, _) in enumerate(told))
        for _, number in places:
            self._take(*told[number])
            if self.random.random() < 0.05:
                self._take(*told[self.random.randrange(number + 1)])

    def _take(self, at: datetime, contract: Contract[Any], event: Document) -> None:
        arrived_at = START + timedelta(days=DAYS * len(self.items) / EVENTS)
        if self.random.random() < 0.02:
            data = event["data"] | {"member_id": self.random.choice(MEMBERS)}
            event = event | {"data": data}
        value = orjson.dumps(event)
        decoded = contract.decode(value, ())
        number = len(self.items)
        message = NoMessage("t", 0, number, int(arrived_at.timestamp() * 1000), None, value)
        self.items.append(Consumed(Event(decoded.ref, instant_of(arrived_at), decoded.fact), decoded.digest, message))

    def _fact(self, number: int) -> tuple[datetime, Contract[Any], Document]:
        random = self.random
        at = START + timedelta(days=DAYS * number / EVENTS, minutes=random.choice((0, 0, 4, 60)))
        (kind,) = random.choices(list(KINDS), [weight for _, weight in KINDS.values()])
        contract = KINDS[kind][0]
        data = getattr(self, f"_{kind}")(number) | {"occurred_at": at.isoformat()}
        data = {"member_id": random.choice(MEMBERS)} | data
        if data.get("behaviour") in ("spam", "fraud") or data.get("points", 0) < 0:
            self.takings.append((data["member_id"], f"e{number}"))
        event = {"specversion": "1.0", "id": f"e{number}", "source": "/shop", "type": contract.type, "data": data}
        return at, contract, event

    def _order(self, number: int) -> Document:
        order = streams.an_order(self.random, f"o{number}") | {"member_id": self.random.choice(MEMBERS)}
        self.orders.append(order)
        return {name: value for name, value in order.items() if value is not None}

    def _refund(self, number: int) -> Document:
        if not self.orders:
            return self._order_to_come(number)
        order = self.random.choice(self.orders[-12:])
        return streams.a_refund(self.random, order, number) | {"member_id": order["member_id"]}

    def _order_to_come(self, number: int) -> Document:
        return {"refund_id": f"r{number}", "order_id": f"o{number + 1}", "currency": "CNY", "full": True}

    def _behaviour(self, number: int) -> Document:
        name = self.random.choice(("review", "review", "share", "share", "spam", "spam", "fraud", "delivered", "dance"))
        data = {"behaviour": name}
        if self.orders and self.random.random() < 0.8:
            order = self.random.choice(self.orders[-12:])
            data |= {"order_id": order["order_id"], "member_id": order["member_id"]}
        if self.random.random() < 0.3:
            data["subject"] = self.random.choice((*MEMBERS, "a product"))
        return data

    def _invitation(self, number: int) -> Document:
        name = self.random.choice(("invite", "invite", "invite", "spam"))
        return {"behaviour": name, "subject": self.random.choice(MEMBERS)}

    def _check_in(self, number: int) -> Document:
        return {"member_id": self.random.choice(MEMBERS[:4])}

    def _member(self, number: int) -> Document:
        """Versions come in any order, as many orders are late; some are told twice."""
        version = max(1, number + self.random.randint(-30, 30))
        country = self.random.choice(("DE", "DE", "FR"))
        return {"member_id": self.random.choice(MEMBERS[:6]), "version": version, "country": country}

    def _adjustment(self, number: int) -> Document:
        wallet = self.random.choice(("points", "miles", "growth", "none"))
        points = self.random.choice((-200, -30, -5, 10, 60))
        return {"adjustment_id": f"a{number}", "wallet": wallet, "points": points} | OPERATOR

    def _appeal(self, number: int) -> Document:
        """Of what took points, or of any event; most often by the member whom it was about."""
        data: Document = {"adjustment_id": f"a{number}"} | OPERATOR
        event_id = f"e{self.random.randrange(number + 3)}"
        if self.takings and self.random.random() < 0.8:
            member_id, event_id = self.random.choice(self.takings[-6:])
            data |= {"member_id": member_id} if self.random.random() < 0.9 else {}
        return data | {"reverses": {"source": "/shop", "id": event_id}}


OPERATOR = {"actor": "ann", "reason": "why not"}
LATE_D = (0, 0, 0, 0, 0, 0.1, 0.3, 1, 5)
KINDS: dict[str, tuple[Contract[Any], int]] = {
    "order": (order_paid.CONTRACT, 34),
    "refund": (refund.CONTRACT, 18),
    "behaviour": (behaviour.CONTRACT, 16),
    "invitation": (behaviour.CONTRACT, 16),
    "check_in": (check_in.CONTRACT, 6),
    "member": (member.CONTRACT, 12),
    "adjustment": (adjustment.CONTRACT, 6),
    "appeal": (adjustment.CONTRACT, 12),
}


@dataclass
class Offline:
    """What the core makes of a stream with everything at hand."""

    programs: Programs
    accounts: dict[MemberId, Account] = field(default_factory=dict)
    postings: dict[MemberId, list[Posting]] = field(default_factory=dict)
    outcomes: dict[str, str] = field(default_factory=dict)
    leases: Leases = field(default_factory=dict)
    events: dict[str, Consumed] = field(default_factory=dict)

    def take(self, batch: Batch) -> None:
        for item in batch.events:
            event_id = item.event.ref.event_id
            if event_id not in self.events:
                outcome = self._decide(item.event)
                if outcome == Outcome.NOTHING_TO_REVERSE and self._is_about_another(item.event):
                    outcome = Outcome.EVENT_OF_ANOTHER_MEMBER
                self.events[event_id], self.outcomes[event_id] = item, outcome
        for sweep in batch.sweeps:
            self._decide(sweep)

    def _is_about_another(self, event: Event) -> bool:
        """Whether an appeal names an event of another member, which no account knows."""
        assert isinstance(event.fact, Appeal)
        reversed_ = self.events.get(event.fact.reverses[1])
        return reversed_ is not None and reversed_.event.member_id != event.member_id

    def _decide(self, event: Event | Sweep) -> Outcome:
        decisions = decide_all(self._account, event, self.programs, self.leases)
        for each in decisions:
            member_id = each.account.member_id
            self.accounts[member_id] = each.account
            self.postings.setdefault(member_id, []).extend(each.postings)
            self.leases = after(self.leases, each.budgets)
        return decisions[0].outcome

    def _account(self, member_id: MemberId) -> Account:
        return self.accounts.get(member_id, Account(member_id))


def batches(random: Random, items: Sequence[Consumed]) -> Iterator[Batch]:
    """The events in batches of any size, and sweeps of everybody or somebody now and then."""
    place = 0
    while place < len(items):
        size = random.choice((1, 1, 3, 12, 30))
        batch = Batch(events=list(items[place : place + size]))
        place += size
        if random.random() < 0.3:
            until = Instant(batch.events[-1].event.arrived_at - 60_000_000)
            batch.sweeps = [Sweep(MemberId(member), until) for member in MEMBERS if random.random() < 0.6]
        yield batch


END = Batch(sweeps=[Sweep(MemberId(member), instant_of(START + timedelta(days=400))) for member in MEMBERS])


@dataclass
class Scene:
    """An installation with a random program, and a random stream for it."""

    settings: Settings
    ledger: Pool
    programs: Programs
    random: Random
    items: list[Consumed]

    @property
    def budgets(self) -> list[Budget]:
        return [each for at in (START, MIDDLE) for each in self._in_force(at).budgets]

    def _in_force(self, at: datetime) -> Program:
        found = self.programs.in_force(instant_of(at))
        assert found is not None
        return found

    async def post(self, batch: Batch) -> Posted:
        return await post(self.ledger, batch, self.programs, SHARDS)


@asynccontextmanager
async def scene(seed: int, make: Make) -> AsyncIterator[Scene]:
    random = Random(seed)
    documents = [json.dumps(document) for document in programs_of(random)]
    settings = await make(documents[0], clock=Clock.REPLAY, shards=SHARDS, topics=True)
    ledger = await open_pool(settings.database, Role.WRITER, max_size=WRITERS)
    try:
        async with ledger.acquire() as connection:
            for document in documents[1:]:
                await register_program(connection, document, "second")
        yield Scene(settings, ledger, await load_programs(ledger), random, Stream(random).items)
    finally:
        ledger.terminate()


async def check(it: Scene, posted: Sequence[Posted], place: str) -> None:
    """The ledger agrees with itself, and nothing is lost or counted twice."""
    found = await verify(it.settings, topic=False, redis=False)
    assert found.clean, f"{place}: {found.differences}"
    ids = {item.event.ref.event_id for item in it.items}
    assert set(await outcomes(it.ledger)) == ids, place
    counted = sum(each.outcomes.total() + each.duplicates + each.dead_letters for each in posted)
    assert counted == len(it.items), place
    assert sum(each.outcomes.total() for each in posted) == len(ids), place
    sizes: Counter[tuple[str, str]] = Counter()
    for budget in it.budgets:
        sizes[budget.budget_id, budget.per] = max(sizes[budget.budget_id, budget.per], budget.size)
    for use in await read_budgets(it.ledger):
        assert 0 <= use.used <= sizes[use.key.budget_id, use.key.per], f"{place}: {use}"
        assert use.unused >= 0, f"{place}: {use}"


async def outcomes(ledger: Pool) -> dict[str, str]:
    rows = await ledger.fetch("SELECT event_id, outcome FROM consumed_events")
    return {row["event_id"]: row["outcome"] for row in rows}


@pytest.mark.parametrize("seed", SEEDS)
async def test_one_writer_posts_what_the_core_makes_of_it(seed: int, make_installation: Make) -> None:
    place = f"SEED={seed}"
    print(place)
    async with scene(seed, make_installation) as it:
        offline = Offline(it.programs)
        posted = []
        for batch in [*batches(it.random, it.items), END]:
            posted.append(await it.post(batch))
            offline.take(batch)
        await compare(it.ledger, offline, place)
        await check(it, posted, place)


async def compare(ledger: Pool, offline: Offline, place: str) -> None:
    """The same postings, outcomes and use of budgets."""
    for member_id in map(MemberId, MEMBERS):
        expected = [plain(posting) for posting in offline.postings.get(member_id, [])]
        assert await statement(ledger, member_id) == expected, f"{place}, {member_id}"
    assert await outcomes(ledger) == offline.outcomes, place
    used = {use.key: use.used for use in await read_budgets(ledger) if use.used}
    assert used == {key: lease.elsewhere for key, lease in offline.leases.items() if lease.elsewhere}, place


@pytest.mark.parametrize("seed", SEEDS)
async def test_many_writers_leave_a_ledger_that_agrees_with_itself(seed: int, make_installation: Make) -> None:
    place = f"SEED={seed}"
    print(place)
    async with scene(seed, make_installation) as it:

        async def write(number: int) -> list[Posted]:
            random = Random(f"{seed}, {number}")
            return [await it.post(batch) for batch in batches(random, it.items[number::WRITERS])]

        written = await asyncio.gather(*(write(number) for number in range(WRITERS)))
        await it.post(END)
        await check(it, [each for posted in written for each in posted], place)


async def statement(ledger: Pool, member_id: MemberId) -> list[Any]:
    async with ledger.acquire() as connection:
        entries = await read_statement(connection, member_id, BEFORE_NOTHING, 10_000, SHARDS)
    return [plain(entry.posting) for entry in reversed(entries)]


def plain(posting: Posting) -> Any:
    """A posting without what the journal's statement does not say, and without buckets that are empty."""
    balances = {
        (wallet, bucket): points
        for wallet, buckets in posting.balances.items()
        for bucket, points in buckets.items()
        if points
    }
    key = None if posting.event is None else posting.event.key
    return replace(posting, event=None, balances={}, follows=False), key, balances
