"""Whatever the caps and budgets are and whatever comes: none is passed by a point, none cuts where it has room, and
what counts as used of it is what the orders in its period have got and kept.

A failure names its seed, and `SEED=… python -m pytest tests/property/test_caps.py` plays the same streams again.
"""

import os
from collections import Counter
from collections.abc import Sequence
from datetime import date, timedelta
from random import Random
from typing import Any

import pytest

from shared.contracts.program import ProgramDocument
from shared.domain.ids import MemberId
from shared.domain.model import RatedOrder
from shared.domain.program import Program, Programs
from shared.domain.time import datetime_of
from tests.property.core import Core
from tests.property.histories import Arrival, History
from tests.property.streams import program, stream

SEED = int(os.environ.get("SEED") or Random().randrange(10**9))
PARTS = range(5)
PROGRAMS = 20
STREAMS = 40
BUDGET_PERIODS = ("day", "week", "month", "ever")
PERIODS = (*BUDGET_PERIODS, "order")
MEMBER = MemberId("m1")


@pytest.mark.parametrize("part", PARTS)
def test_no_cap_and_no_budget_is_passed_and_none_cuts_without_need(part: int) -> None:
    for number in range(PROGRAMS):
        random = Random(f"{SEED}-{part}-{number}")
        document = program(random)
        for rule in document["rules"]:
            rule.pop("at_most", None)  # what it trims is counted with what caps do
        caps = [_cap(random, document, f"cap-{index}", PERIODS) for index in range(random.randint(0, 3))]
        # All events are one member's, so that a budget holds for the same orders as a cap.
        budgets = [_cap(random, document, f"budget-{index}", BUDGET_PERIODS) for index in range(random.randint(0, 2))]
        document |= {"caps": caps, "budgets": budgets}
        version = ProgramDocument.model_validate(document).to_domain()
        programs = Programs([version])
        for each in range(STREAMS):
            history = stream(random, document)
            _play(
                history, programs, version, caps + budgets, f"SEED={SEED}: part {part}, program {number}, stream {each}"
            )


def _cap(random: Random, document: dict[str, Any], name: str, periods: Sequence[str]) -> dict[str, Any]:
    """A cap of some of the rules, or a budget for them, small enough to be reached."""
    rules = [rule["id"] for rule in document["rules"]]
    return {
        "id": name,
        "rules": random.sample(rules, random.randint(1, len(rules))),
        "per": random.choice(periods),
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
                assert _counted(core, cap) == +used[cap["id"]], f"{place}, step {number}"
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


def _counted(core: Core, cap: dict[str, Any]) -> Counter[Any]:
    """What counts as used of a cap or a budget, by period."""
    tallies = core.accounts[MEMBER].tallies.items()
    found = {key.period: points for key, points in tallies if key.name.startswith(cap["id"] + ":")}
    leases = {key.first_day: lease.elsewhere for key, lease in core.leases.items() if key.budget_id == cap["id"]}
    return +Counter(found | leases)


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
