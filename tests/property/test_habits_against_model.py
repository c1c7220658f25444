"""Check-ins, behaviours and tasks agree with a naive model that works everything out anew, in any order of arrival."""

from datetime import UTC, date, datetime, timedelta
from itertools import permutations
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from shared.contracts.program import ProgramError, parse_program
from shared.domain.ids import ProgramVersion, RuleId, Wallet
from shared.domain.streak import AfterLast, Every, Streak, StreakDay, add_day
from shared.domain.time import instant_of
from tests.property.naive_habits import Done, NaiveBehaviours, NaiveStreak, streak_total
from tests.support.habits import Member, document

SETTINGS = settings(max_examples=150, deadline=None, print_blob=True)

ZONES = st.sampled_from(
    [
        ("Asia/Shanghai", date(2026, 2, 26)),
        ("America/New_York", date(2026, 3, 5)),
        ("America/New_York", date(2026, 10, 29)),
        ("Africa/Cairo", date(2026, 4, 21)),
        ("UTC", date(2024, 2, 26)),
        ("Europe/Paris", date(2026, 12, 28)),
    ]
)
"""Zones, each with a day after which something happens to its clocks or its calendar."""

REWARDS = st.lists(st.integers(0, 9), min_size=1, max_size=6).filter(any)
STREAKS = st.fixed_dictionaries(
    {"id": st.just("daily"), "wallet": st.just("points"), "rewards": REWARDS | REWARDS.map(sorted)},
    optional={
        "after_last": st.sampled_from(["repeat", "restart"]),
        "every": st.fixed_dictionaries({"days": st.integers(2, 7), "factor": st.integers(2, 4)}),
        "makeup": st.fixed_dictionaries({"days": st.integers(0, 9)}),
    },
)
HOURS = st.integers(0, 30 * 24 * 2).map(lambda halves: timedelta(minutes=30 * halves))
"""How long after the first day something happens: within a month, often at midnight."""


def is_program(zone: str, streak: dict[str, Any]) -> bool:
    try:
        parse_program(document(zone, streaks=[streak]))
    except ProgramError:
        return False
    return True


CHECK_INS = st.lists(st.tuples(HOURS, st.none() | st.integers(-2, 10)), max_size=25)
"""Check-ins, and how many days back the card reaches that some of them are."""


@SETTINGS
@given(ZONES, STREAKS.filter(lambda streak: is_program("UTC", streak)), CHECK_INS)
def test_check_ins_give_what_their_days_give_in_order(
    place: tuple[str, date], streak: dict[str, Any], check_ins: list[tuple[timedelta, int | None]]
) -> None:
    zone, first = place
    member = Member(parse_program(document(zone, streaks=[streak])).to_domain())
    model = NaiveStreak(zone, streak)
    for after, back in check_ins:
        at = datetime(first.year, first.month, first.day, tzinfo=UTC) + after
        makeup = None if back is None else at.date() - timedelta(days=back)
        verdict = member.check_in(instant_of(at), makeup=makeup)
        assert (verdict.reason or "", sum(grant.points for grant in verdict.grants)) == model.check_in(at, makeup)
    assert member.points == streak_total(model.days)


@SETTINGS
@given(STREAKS.filter(lambda streak: is_program("UTC", streak)), st.sets(st.integers(0, 9), max_size=5))
def test_every_order_of_the_days_gives_the_same(streak: dict[str, Any], numbers: set[int]) -> None:
    program = parse_program(document("UTC", streaks=[streak])).to_domain()
    days = [date(2026, 2, 25) + timedelta(days=number) for number in numbers]
    totals = set()
    for order in permutations(days):
        member = Member(program)
        member.on(*order)
        totals.add(member.points)
    assert totals == {streak_total(dict.fromkeys(days, streak))}


@SETTINGS
@given(st.lists(STREAKS, min_size=1, max_size=3), st.lists(st.integers(0, 20), unique=True, max_size=15))
def test_under_any_versions_no_day_gives_more_than_it_adds_in_order(
    streaks: list[dict[str, Any]], numbers: list[int]
) -> None:
    """Also with rewards that a program may not have: what was given stays, and is never given twice."""
    policies = [policy(streak) for streak in streaks]
    rows: dict[date, StreakDay] = {}
    known: dict[date, dict[str, Any]] = {}
    given_so_far = 0
    for number in numbers:
        day = date(2026, 2, 20) + timedelta(days=number)
        version = number * len(streaks) // 21
        before = streak_total(known)
        known[day] = streaks[version]
        changed, gifts = add_day(rows, day, ProgramVersion(version), lambda found: policies[found])
        rows.update(changed)
        points = sum(points for _, points in gifts)
        given_so_far += points
        assert all(points > 0 for _, points in gifts)
        assert points <= max(0, streak_total(known) - before)
        assert given_so_far >= streak_total(known)
        assert given_so_far == sum(row.given for row in rows.values())


def policy(streak: dict[str, Any]) -> Streak:
    every = streak.get("every")
    return Streak(
        RuleId("daily"),
        Wallet("points"),
        tuple(streak["rewards"]),
        AfterLast(streak.get("after_last", "repeat")),
        Every(**every) if every else None,
        makeup_days=7,
    )


NAMES = ("review", "share", "invite")
DURING = {"from": "2026-03-06T07:30:00Z", "until": "2026-12-30T12:00:00Z"}
TIMES = st.just({"once": True}) | st.fixed_dictionaries(
    {"per": st.sampled_from(["day", "week", "month", "campaign", "ever"]), "at_most": st.integers(1, 3)}
)
RULE = st.fixed_dictionaries(
    {
        "behaviour": st.sampled_from(NAMES),
        "wallet": st.sampled_from(["points", "growth"]),
        "points": st.integers(-3, 9).filter(bool),
        "during": st.just(DURING),
    },
    optional={"times": TIMES, "once_for": st.sampled_from(["order", "subject"])},
)
TASK = st.fixed_dictionaries(
    {
        "wallet": st.just("points"),
        "steps": st.permutations(NAMES).map(
            lambda names: [{"behaviour": name, "points": number} for number, name in enumerate(names)]
        ),
    },
    optional={"bonus": st.integers(0, 5)},
)
TASKS = TASK.map(lambda task: {**task, "in_order": True}) | st.builds(
    lambda task, hours: {**task, "within": f"{hours}h"}, TASK, st.integers(1, 400)
)
ABOUT = st.none() | st.sampled_from(["a", "b"])
LATE = st.sampled_from([False, False, False, True])
BEHAVIOURS = st.lists(st.tuples(st.sampled_from(NAMES), HOURS, ABOUT, ABOUT, LATE), max_size=25)


@SETTINGS
@given(ZONES, st.lists(RULE, max_size=4), st.lists(TASKS, max_size=3), BEHAVIOURS)
def test_behaviours_and_tasks_give_what_the_model_says(
    place: tuple[str, date],
    rules: list[dict[str, Any]],
    tasks: list[dict[str, Any]],
    behaviours: list[tuple[str, timedelta, str | None, str | None, bool]],
) -> None:
    zone, first = place
    parts = {
        "behaviours": [{"id": f"rule-{number}", **rule} for number, rule in enumerate(rules)],
        "tasks": [{"id": f"task-{number}", **task} for number, task in enumerate(tasks)],
    }
    member = Member(parse_program(document(zone, **parts)).to_domain())
    model = NaiveBehaviours({"zone": zone, **parts})
    for name, after, order, subject, late in behaviours:
        at = datetime(first.year, first.month, first.day, tzinfo=UTC) + after
        before = member.given.copy()
        verdict = member.does(name, instant_of(at), order, subject, late=late)
        moved = {rule: points - before[rule] for rule, points in member.given.items() if points != before[rule]}
        assert moved == dict(model.does(Done(name, at, order, subject), late=late))
        assert not (moved and verdict.reason)
