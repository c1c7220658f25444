"""Tasks: each step gives its points once, in whatever order the steps arrive."""

from itertools import permutations
from typing import Any

import pytest

from shared.domain.verdict import Reason
from tests.support.habits import Member, gifts, program

NEWBIE: dict[str, Any] = {
    "id": "newbie",
    "wallet": "points",
    "steps": [
        {"behaviour": "register", "points": 10},
        {"behaviour": "profile-completed", "points": 20},
        {"behaviour": "first-share", "points": 30},
    ],
    "bonus": 100,
}
MARCH_1, MARCH_2, MARCH_3 = (f"2026-03-0{day}T12:00:00Z" for day in (1, 2, 3))
DONE = [("register", MARCH_1), ("profile-completed", MARCH_2), ("first-share", MARCH_3)]


def member(**changes: Any) -> Member:
    return Member(program(tasks=[NEWBIE | changes]))


@pytest.mark.parametrize("in_order", [False, True])
def test_steps_and_a_bonus(in_order: bool) -> None:
    one = member(in_order=in_order)
    verdicts = [one.does(*step) for step in DONE]
    assert gifts(verdicts) == [[10], [20], [30, 100]]
    assert {grant.rule_id for verdict in verdicts for grant in verdict.grants} == {"newbie"}
    again = one.does("register", MARCH_3)
    assert (again.reason, again.grants, again.tallies) == (Reason.TASK_STEP_ALREADY_DONE, [], {})


@pytest.mark.parametrize("in_order", [False, True])
@pytest.mark.parametrize("arriving", list(permutations(DONE)))
def test_whatever_order_they_arrive_in(arriving: tuple[tuple[str, str], ...], in_order: bool) -> None:
    one = member(in_order=in_order)
    verdicts = [one.does(*step) for step in arriving]
    assert one.points == 160
    # Each part is good as long as if all had arrived in order.
    assert sorted((grant.points, grant.day.day) for verdict in verdicts for grant in verdict.grants) == [
        (10, 1),
        (20, 2),
        (30, 3),
        (100, 3),
    ]


def test_where_the_order_does_not_count_each_step_gives_at_once() -> None:
    one = member()
    assert gifts(one.does(*step) for step in reversed(DONE)) == [[30], [20], [10, 100]]


def test_a_step_before_its_turn_waits() -> None:
    one = member(in_order=True)
    early = one.does("first-share", MARCH_1)
    assert (early.reason, early.grants, len(early.tallies)) == (Reason.TASK_STEP_OUT_OF_ORDER, [], 1)
    assert one.does("first-share", MARCH_1).reason is Reason.TASK_STEP_ALREADY_DONE
    assert gifts([one.does("register", MARCH_2), one.does("profile-completed", MARCH_3)]) == [[10], [20, 30, 100]]


def test_a_step_may_give_nothing_of_its_own() -> None:
    one = member(steps=[{"behaviour": "register"}, {"behaviour": "share"}])
    verdicts = [one.does("register", MARCH_1), one.does("share", MARCH_2)]
    assert gifts(verdicts) == [[], [100]]
    assert [verdict.reason for verdict in verdicts] == [None, None]


def test_a_behaviour_may_be_a_step_and_have_a_rule() -> None:
    rule = {"id": "share", "behaviour": "first-share", "wallet": "points", "points": 1}
    one = Member(program(tasks=[NEWBIE, NEWBIE | {"id": "other", "in_order": True}], behaviours=[rule]))
    verdict = one.does("first-share", MARCH_1)
    assert [(grant.rule_id, grant.points) for grant in verdict.grants] == [("share", 1), ("newbie", 30)]
    assert verdict.reason is None


LAST = "2026-03-31T11:59:59.999999Z"
OVER = "2026-03-31T12:00:00Z"  # 30 days after the 1st


@pytest.mark.parametrize("in_order", [False, True])
def test_the_last_step_comes_in_time_or_not(in_order: bool) -> None:
    one = member(in_order=in_order, within="30d")
    one.does("register", MARCH_1)
    one.does("profile-completed", MARCH_2)
    late = one.does("first-share", OVER)
    assert (late.reason, late.grants, late.tallies) == (Reason.TASK_TIME_OVER, [], {})
    assert gifts([one.does("first-share", LAST)]) == [[30, 100]]


def test_a_late_arrival_does_not_make_the_time_longer() -> None:
    one = member(within="30d")
    one.does("first-share", OVER)
    assert one.does("register", MARCH_1).reason is Reason.TASK_TIME_OVER
    assert gifts([one.does("register", MARCH_2)]) == [[10]]


def test_a_step_that_waits_does_not_start_the_time() -> None:
    one = member(in_order=True, within="30d")
    assert one.does("first-share", "2026-01-01T12:00:00Z").reason is Reason.TASK_STEP_OUT_OF_ORDER
    assert gifts(one.does(*step) for step in DONE[:2]) == [[10], [20, 30, 100]]


def test_a_step_that_waited_too_long_gives_nothing() -> None:
    one = member(in_order=True, within="30d")
    one.does("profile-completed", OVER)
    assert gifts([one.does("register", MARCH_1)]) == [[10]]
    assert one.does("first-share", LAST).reason is Reason.TASK_TIME_OVER
    assert one.points == 10


def test_a_step_that_a_version_adds_gives_its_points_and_no_second_bonus() -> None:
    steps = [NEWBIE["steps"][0], {"behaviour": "wish", "points": 7}, *NEWBIE["steps"][1:]]
    new = program(tasks=[NEWBIE | {"steps": steps}], version=2, effective_from="2026-04-01T00:00:00Z")
    one = Member(program(tasks=[NEWBIE]), new)
    for step in DONE:
        one.does(*step)
    assert gifts([one.does("wish", "2026-04-02T12:00:00Z")]) == [[7]]


def test_a_step_that_a_version_adds_puts_the_bonus_off() -> None:
    steps = [*NEWBIE["steps"], {"behaviour": "wish", "points": 7}]
    new = program(tasks=[NEWBIE | {"steps": steps}], version=2, effective_from="2026-03-03T00:00:00Z")
    one = Member(program(tasks=[NEWBIE]), new)
    assert gifts(one.does(*step) for step in DONE) == [[10], [20], [30]]
    assert gifts([one.does("wish", "2026-04-02T12:00:00Z")]) == [[7, 100]]
