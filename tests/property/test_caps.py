"""Whatever the caps are and whatever comes: none is passed by a point, none cuts where it has room, and its tally is
what the orders in its period have got and kept.

A failure names its seed, and `SEED=… python -m pytest tests/property/test_caps.py` plays the same streams again.
"""

import os
from collections import Counter
from datetime import date, timedelta
from random import Random
from typing import Any

import pytest

from shared.contracts.program import ProgramDocument
from shared.domain.ids import MemberId
from shared.domain.model import Account, RatedOrder
from shared.domain.program import Program, Programs
from shared.domain.time import datetime_of
from tests.property.core import Core
from tests.property.histories import Arrival, History
from tests.property.streams import program, stream

SEED = int(os.environ.get("SEED") or Random().randrange(10**9))
PARTS = range(5)
PROGRAMS = 20
STREAMS = 40
PERIODS = ("day", "week", "month", "ever", "order")
MEMBER = MemberId("m1")


@pytest.mark.parametrize("part", PARTS)
def test_no_cap_is_passed_and_none_cuts_without_need(part: int) -> None:
    for number in range(PROGRAMS):
        random = Random(f"{SEED}-{part}-{number}")
        document = program(random)
        document["caps"] = caps = [_cap(random, document, index) for index in range(random.randint(1, 3))]
        version = ProgramDocument.model_validate(document).to_domain()
        programs = Programs([version])
        for each in range(STREAMS):
            history = stream(random, document)
            _play(history, programs, version, caps, f"SEED={SEED}: part {part}, program {number}, stream {each}")


def _cap(random: Random, document: dict[str, Any], index: int) -> dict[str, Any]:
    """A cap of some of the rules, small enough to be reached."""
    rules = [rule["id"] for rule in document["rules"]]
    return {
        "id": f"cap-{index}",
        "rules": random.sample(rules, random.randint(1, len(rules))),
        "per": random.choice(PERIODS),
        "points": random.choice((1, 10, 50, 200, 1000)),
        "excess": random.choice(("trim", "trim", "skip")),
    }


def _play(history: History, programs: Programs, version: Program, caps: list[dict[str, Any]], place: str) -> None:
    core = Core(history, programs)
    for number, step in enumerate(history.steps):
        before = set(core.orders)
        outcome = core.step(step, f"e{number}")
        used = {cap["id"]: _used(core, cap, version) for cap in caps}
        for cap in caps:
            assert all(0 <= points <= cap["points"] for points in used[cap["id"]].values()), f"{place}, step {number}"
            if cap["per"] != "order":
                assert _tallies(core.accounts[MEMBER], cap) == +used[cap["id"]], f"{place}, step {number}"
        if isinstance(step, Arrival) and outcome == "trimmed" and set(core.orders) != before:
            (key,) = set(core.orders) - before
            # Refunds that waited for the order have made room again in the same posting.
            if not core.accounts[MEMBER].orders[key[1]].refunds:
                _check_cut(core.orders[key], caps, used, version, f"{place}, step {number}")


def _used(core: Core, cap: dict[str, Any], version: Program) -> Counter[Any]:
    """What the orders of each period got by the rules of a cap, and kept; counted from the journal alone."""
    places = {rated.order_id: _place(rated, cap, version) for rated in core.orders.values()}
    used: Counter[Any] = Counter()
    for posting in core.postings[MEMBER]:
        for movement in posting.movements:
            if movement.rule_id is None or movement.rule_id.partition("/")[0] not in cap["rules"]:
                continue
            assert movement.order_id is not None
            if movement.from_bucket == "issued":
                used[places[movement.order_id]] += movement.amount
            elif movement.to_bucket == "clawed_back" and movement.from_bucket != "written_off":
                used[places[movement.order_id]] -= movement.amount
    return used


def _place(rated: RatedOrder, cap: dict[str, Any], version: Program) -> Any:
    day = datetime_of(rated.occurred_at).astimezone(version.calendar.zone).date()
    match cap["per"]:
        case "day":
            return day
        case "week":
            return day - timedelta(days=day.weekday())
        case "month":
            return date(day.year, day.month, 1)
        case "order":
            return rated.order_id
        case _:
            return None


def _tallies(account: Account, cap: dict[str, Any]) -> Counter[Any]:
    return +Counter(
        {key.period: points for key, points in account.tallies.items() if key.name.startswith(cap["id"] + ":")}
    )


def _check_cut(
    rated: RatedOrder, caps: list[dict[str, Any]], used: dict[str, Counter[Any]], version: Program, place: str
) -> None:
    """Of the caps that hold for a rule that was cut, one had no room for the points that it lost."""
    for rule_id, lost in rated.trimmed.items():
        of_rule = [cap for cap in caps if rule_id in cap["rules"]]
        room = [cap["points"] - used[cap["id"]][_place(rated, cap, version)] for cap in of_rule]
        skips = any(cap["excess"] == "skip" for cap in of_rule)
        assert min(room) < lost, f"{place}: {rule_id} lost {lost} of {room}"
        assert skips or min(room) == 0, f"{place}: {rule_id} lost {lost} of {room}"
