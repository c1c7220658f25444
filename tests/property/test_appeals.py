"""Appeals make a member whole, and give nobody more: held on random orders, refunds, spends and penalties.

A failure names its seed, and `SEED=… python -m pytest tests/property/test_appeals.py` plays the same streams again.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Any

import pytest

from shared.domain.facts import Appeal, Behaviour, EventKey
from shared.domain.ids import EventId, EventSource, MemberId, Wallet
from shared.domain.model import Account, Bucket
from shared.domain.program import Programs
from shared.domain.time import instant_of
from tests.property.core import Core, Told, programs_of
from tests.property.histories import History, Sweep
from tests.property.histories import Step as Known
from tests.property.streams import START, program, stream

SEED = int(os.environ.get("SEED") or Random().randrange(10**9))
PARTS = range(5)
PROGRAMS = 20
STREAMS = 40
MEMBER = MemberId("m1")
LATER_H = (0, 0, 1, 20, 80, 2_000)

HELD = (Bucket.PENDING, Bucket.AVAILABLE, Bucket.DEBT, Bucket.CASH_OFFSET)
"""What a member has, less what is owed or was paid for in money."""

EVER = (*HELD, Bucket.EXPIRED, Bucket.WRITTEN_OFF)
"""With what the member had the time to use, and less what was let go."""

Step = Known | Told
Named = tuple[str, Step]
"""A step under the id of its event."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """A stream, its program, and the dice that chose them."""

    place: str
    random: Random
    document: dict[str, Any]
    programs: Programs
    steps: Sequence[Named]


def chosen(part: int, **changes: Any) -> Iterator[Chosen]:
    for number in range(PROGRAMS):
        random = Random(f"{SEED}-{part}-{number}")
        document = program(random)
        document["behaviours"] = [_penalty(random, f"penalty-{index}") for index in range(3)]
        for name, value in changes.items():
            document[name] = value(random) if callable(value) else value
        programs = programs_of([document])
        for each in range(STREAMS):
            place = f"SEED={SEED}: part {part}, program {number}, stream {each}"
            steps = [step for step in stream(random, document).steps if not isinstance(step, Sweep)]
            yield Chosen(place, random, document, programs, [(f"e{index}", step) for index, step in enumerate(steps)])


def _penalty(random: Random, name: str) -> dict[str, Any]:
    return {
        "id": name,
        "behaviour": name,
        "wallet": random.choice(("points", "points", "miles", "growth")),
        "points": -random.choice((1, 7, 30, 200, 10_000)),
        "floor": random.choice(("zero", "debt")),
    }


def _floor_zero(random: Random) -> list[dict[str, Any]]:
    return [_penalty(random, f"penalty-{index}") | {"floor": "zero"} for index in range(3)]


def _never(random: Random) -> dict[str, Any]:
    return {
        "points": {"spendable": True, "expiry": "never"},
        "miles": {"spendable": True, "expiry": "never"},
        "growth": {"spendable": False, "expiry": "never"},
    }


def penalty(random: Random, document: dict[str, Any], at: datetime) -> Told:
    name = random.choice(document["behaviours"])["behaviour"]
    return Told(at, Behaviour(MEMBER, name, None, None, instant_of(at)))


def appeal(event_id: str, at: datetime) -> Told:
    key: EventKey = (EventSource("/shop"), EventId(event_id))
    return Told(at, Appeal(MEMBER, key, "ann", "an appeal", instant_of(at)))


def run(programs: Programs, steps: Sequence[Named], end: datetime | None = None) -> tuple[Account, dict[str, str]]:
    core = Core(History([], [], [], START), programs)
    outcomes = {event_id: core.step(step, event_id) for event_id, step in steps}
    if end is not None:
        core.run([], end)
    return core.accounts[MEMBER], outcomes


@pytest.mark.parametrize("part", PARTS)
def test_a_penalty_and_its_appeal_at_once_leave_what_was_before(part: int) -> None:
    for case in chosen(part):
        before = case.steps[: case.random.randint(0, len(case.steps))]
        at = before[-1][1].arrived_at if before else START  # type: ignore[union-attr]
        both = [("p", penalty(case.random, case.document, at)), ("a", appeal("p", at))]
        # A behaviour settles up to its arrival, so what was before is asked at that instant too.
        expected, _ = run(case.programs, [*before, ("s", Sweep(at, MEMBER))])
        found, outcomes = run(case.programs, [*before, *both])
        assert outcomes["a"] == ("posted" if outcomes["p"] == "posted" else "nothing_to_reverse"), case.place
        assert _all_of(found) == _all_of(expected), case.place


@pytest.mark.parametrize("part", PARTS)
def test_appeals_print_no_points(part: int) -> None:
    """Whatever ends in between, in a lot of its own or in a new one."""
    for case in chosen(part):
        held, whole, _ = _compared(case, (*EVER, Bucket.ADJUSTED))
        assert held == whole, f"{case.place}: {held}, {whole}"


@pytest.mark.parametrize("part", PARTS)
def test_appeals_give_nobody_more_than_there_had_been_without_penalties(part: int) -> None:
    """What ends is left out: with a new lot there is more time to use it."""
    for case in chosen(part, wallets=_never):
        held, whole, same = _compared(case, HELD)
        assert not same or all(held[wallet] <= whole[wallet] for wallet in whole), f"{case.place}: {held}, {whole}"


@pytest.mark.parametrize("part", PARTS)
def test_appeals_make_a_member_whole(part: int) -> None:
    """Where points do not end, and nothing is owed: of what was repaid it is not asked when."""
    for case in chosen(part, behaviours=_floor_zero, wallets=_never):
        held, whole, same = _compared(case, HELD)
        assert not same or held == whole, f"{case.place}: {held}, {whole}"


def _disputed(case: Chosen) -> tuple[list[Named], datetime]:
    """The stream with penalties in it, each of which is appealed some time later, some of them twice."""
    random = case.random
    timed: list[tuple[datetime, int, str, Step]] = [
        (step.arrived_at, index, name, step)  # type: ignore[union-attr]
        for index, (name, step) in enumerate(case.steps)
    ]
    instants = [at for at, *_ in timed]
    for number in range(random.randint(1, 3)):
        at = random.choice(instants) + timedelta(hours=random.choice((0, 0, 1)))
        back = at + timedelta(hours=random.choice(LATER_H))
        place = random.randint(-1, 100)
        timed.append((at, place, f"p{number}", penalty(random, case.document, at)))
        timed.append((back, place + random.randint(1, 100), f"a{number}", appeal(f"p{number}", back)))
        if random.random() < 0.2:
            timed.append((back, 1_000, f"again-{number}", appeal(f"p{number}", back)))
    timed.sort(key=lambda entry: entry[:2])
    return [(name, step) for _, _, name, step in timed], timed[-1][0] + timedelta(days=random.choice((0, 400)))


def _compared(case: Chosen, buckets: Sequence[Bucket]) -> tuple[dict[str, int], dict[str, int], bool]:
    """What the member has in some buckets with penalties and appeals, and without; and whether operators took the same:
    a taking for which too few points were there is not decided again."""
    steps, end = _disputed(case)
    found, outcomes = run(case.programs, steps, end)
    undisturbed, _ = run(case.programs, [step for step in steps if step[0].startswith("e")], end)
    for name, outcome in outcomes.items():
        assert not name.startswith("again") or outcome in ("already_reversed", "nothing_to_reverse"), case.place
    assert not any(held.get(Bucket.PENALTY) for held in found.balances.values()), case.place
    adjusted = (Bucket.ADJUSTED,)
    return _sums(found, buckets), _sums(undisturbed, buckets), _sums(found, adjusted) == _sums(undisturbed, adjusted)


def _sums(account: Account, buckets: Sequence[Bucket]) -> dict[str, int]:
    return {
        wallet: sum(held.get(bucket, 0) for bucket in buckets)
        for wallet in ("points", "miles", "growth")
        for held in (account.balances.get(Wallet(wallet), {}),)
    }


def _all_of(account: Account) -> Any:
    """All that decisions are made of, but for how often the account was posted to."""
    balances = {
        (wallet, bucket): points
        for wallet, buckets in account.balances.items()
        for bucket, points in buckets.items()
        if points
    }
    lots = [lot for lot in account.lots.values() if lot.remaining or lot.expired]
    write_offs = [(each.wallet, each.order_id, each.amount) for each in account.write_offs if each.amount]
    return balances, lots, account.debts, account.next_due_at, write_offs
