"""A streak gives what its days would have given in order, in whatever order they arrive (SEMANTICS, Check-in)."""

from datetime import date, timedelta
from itertools import permutations
from typing import Any

import pytest

from shared.domain import check_in
from shared.domain.check_in import StreakNeed
from shared.domain.facts import CheckIn
from shared.domain.ids import RuleId, Wallet
from shared.domain.program import Program
from shared.domain.streak import AfterLast, Every, Streak, better_broken
from shared.domain.time import DAY_US, Instant
from shared.domain.verdict import Reason
from tests.support.habits import MEMBER, Member, gifts, instant, program

RISING = {"id": "daily", "wallet": "points", "rewards": [1, 2, 3, 4, 5]}
SEVENTH = {"id": "daily", "wallet": "points", "rewards": [5], "every": {"days": 7, "factor": 2}}
MARCH = [date(2026, 3, number) for number in range(1, 32)]
"""March 2026; the days of it that a test speaks of are counted from 0."""


def one(streak: dict[str, Any], zone: str = "Asia/Shanghai", **changes: Any) -> Program:
    return program(zone, streaks=[streak | changes])


def daily(member: Member) -> dict[date, int]:
    """What was given for each day so far."""
    return {day: row.given for day, row in sorted(member.days[RuleId("daily")].items())}


def test_g20_a_day_is_one_of_the_programs_zone() -> None:
    member = Member(one(RISING))
    assert gifts([member.check_in("2026-03-01T15:59:59Z"), member.check_in("2026-03-01T16:00:00Z")]) == [[1], [2]]
    assert [row.length for row in member.days[RuleId("daily")].values()] == [1, 2]


def test_g21_a_late_day_gives_each_day_what_it_lacks() -> None:
    member = Member(one(RISING))
    member.on(MARCH[0], MARCH[1], MARCH[3], MARCH[4])
    assert member.points == 6
    (late,) = member.on(MARCH[2])
    assert [(grant.day, grant.points) for grant in late.grants] == [(MARCH[2], 3), (MARCH[3], 3), (MARCH[4], 3)]
    assert member.points == 15


@pytest.mark.parametrize("order", list(permutations(range(5))), ids=str)
def test_g21_in_any_order_of_arrival(order: tuple[int, ...]) -> None:
    member = Member(one(RISING))
    for number, day in enumerate(order, 1):
        member.on(MARCH[day])
        in_order = Member(one(RISING))
        in_order.on(*(MARCH[known] for known in sorted(order[:number])))
        assert member.points == in_order.points
    assert member.points == 15


def test_g22_the_seventh_day_is_doubled() -> None:
    member = Member(one(SEVENTH))
    assert gifts(member.on(*MARCH[:7])) == [[5]] * 6 + [[10]]
    assert member.points == 40
    assert gifts(member.on(*MARCH[7:14])) == [[5]] * 6 + [[10]]


def test_g22_in_any_order_of_arrival() -> None:
    week_of = one(SEVENTH)
    for order in permutations(range(7)):
        member = Member(week_of)
        member.on(*(MARCH[day] for day in order))
        assert member.points == 40


def test_a_doubled_day_that_becomes_the_eighth_is_set_off() -> None:
    member = Member(one(SEVENTH))
    member.on(*MARCH[1:8])
    assert member.points == 40  # the seventh is the 8th of March
    (late,) = member.on(MARCH[0])
    # Eight days give 45. The 7th is doubled now instead of the 8th, which has its points already.
    assert [(grant.day, grant.points) for grant in late.grants] == [(MARCH[0], 5)]
    assert gifts(member.on(*MARCH[8:14])) == [[5]] * 5 + [[10]]
    assert member.points == 14 * 5 + 2 * 5


def test_a_list_may_start_again() -> None:
    member = Member(one(RISING, after_last="restart"))
    assert gifts(member.on(*MARCH[:12])) == [[1], [2], [3], [4], [5], [1], [2], [3], [4], [5], [1], [2]]


def test_the_last_of_a_list_repeats() -> None:
    member = Member(one(RISING))
    assert gifts(member.on(*MARCH[:7])) == [[1], [2], [3], [4], [5], [5], [5]]


def test_a_missed_day_starts_a_new_streak() -> None:
    member = Member(one(RISING))
    assert gifts(member.on(MARCH[0], MARCH[1], MARCH[3])) == [[1], [2], [1]]


def test_a_day_may_count_and_give_nothing() -> None:
    member = Member(one(RISING, rewards=[0, 0, 20], after_last="restart"))
    verdicts = member.on(*MARCH[:3])
    assert gifts(verdicts) == [[], [], [20]]
    assert [verdict.reason for verdict in verdicts] == [None, None, None]
    assert [len(verdict.days) for verdict in verdicts] == [1, 1, 1]


def test_a_day_counts_once() -> None:
    member = Member(one(RISING))
    member.on(*MARCH[:2])
    again = member.check_in("2026-03-02T15:59:59.999999Z")
    assert (again.reason, again.grants, again.days) == (Reason.DAY_ALREADY_CHECKED_IN, [], {})
    assert member.check_in("2026-03-02T16:00:00Z").reason is None


@pytest.mark.parametrize(
    ("zone", "moments"),
    [
        # 23 hours: 8 March is from 05:00Z to 9 March 04:00Z.
        ("America/New_York", ["2026-03-08T04:59:59Z", "2026-03-08T05:00:00Z", "2026-03-09T04:00:00Z"]),
        # 25 hours: 1 November is from 04:00Z to 2 November 05:00Z.
        ("America/New_York", ["2026-11-01T03:59:59Z", "2026-11-02T04:59:59Z", "2026-11-02T05:00:00Z"]),
        # Midnight of 24 April does not exist; the day starts at 01:00 local, 22:00Z.
        ("Africa/Cairo", ["2026-04-23T21:59:59Z", "2026-04-23T22:00:00Z", "2026-04-24T21:00:00Z"]),
        ("UTC", ["2026-02-27T12:00:00Z", "2026-02-28T12:00:00Z", "2026-03-01T12:00:00Z"]),
        ("UTC", ["2028-02-28T12:00:00Z", "2028-02-29T12:00:00Z", "2028-03-01T12:00:00Z"]),
        ("UTC", ["2026-12-30T23:59:59Z", "2026-12-31T00:00:00Z", "2027-01-01T00:00:00Z"]),
    ],
)
def test_days_follow_each_other_as_in_the_calendar(zone: str, moments: list[str]) -> None:
    member = Member(one(RISING, zone))
    assert gifts(member.check_in(moment) for moment in moments) == [[1], [2], [3]]


def test_the_28th_of_february_is_not_before_the_first_of_march_in_a_leap_year() -> None:
    member = Member(one(RISING, "UTC"))
    assert gifts(member.on(date(2028, 2, 28), date(2028, 3, 1))) == [[1], [1]]


def test_both_readings_of_a_repeated_hour_are_one_day() -> None:
    member = Member(one(RISING, "America/New_York"))
    member.check_in("2026-11-01T05:30:00Z")  # 01:30 EDT
    assert member.check_in("2026-11-01T06:30:00Z").reason is Reason.DAY_ALREADY_CHECKED_IN  # 01:30 EST


def test_a_card_fills_a_missed_day() -> None:
    member = Member(one(RISING))
    member.on(MARCH[0], MARCH[1], MARCH[3], MARCH[4])
    filled = member.check_in("2026-03-05T12:00:00Z", makeup=MARCH[2])
    # As when the day had come late, but the points are good from the day of the card on.
    assert [(grant.day, grant.points) for grant in filled.grants] == [(MARCH[4], 3)] * 3
    assert daily(member) == dict(zip(MARCH, [1, 2, 3, 4, 5], strict=False))


def test_the_day_of_a_make_up_may_be_checked_in_later() -> None:
    member = Member(one(RISING))
    member.on(MARCH[0])
    filled = member.check_in("2026-03-03T12:00:00Z", makeup=MARCH[1])
    assert gifts([filled, *member.on(MARCH[2])]) == [[2], [3]]


@pytest.mark.parametrize(
    ("makeup", "reason"),
    [
        (date(2026, 3, 10), Reason.MAKEUP_WITHOUT_GAP),  # today
        (date(2026, 3, 11), Reason.MAKEUP_WITHOUT_GAP),
        (date(2026, 3, 9), None),
        (date(2026, 3, 8), Reason.DAY_ALREADY_CHECKED_IN),
        (date(2026, 3, 3), None),
        (date(2026, 3, 2), Reason.MAKEUP_TOO_OLD),
        (date(1900, 1, 1), Reason.MAKEUP_TOO_OLD),
    ],
)
def test_how_far_back_a_make_up_reaches(makeup: date, reason: Reason | None) -> None:
    member = Member(one(RISING))
    member.on(MARCH[7])
    # 10 March begins at 16:00Z on the 9th.
    assert member.check_in("2026-03-09T16:00:00Z", makeup=makeup).reason is reason


def test_a_program_may_have_no_make_ups() -> None:
    member = Member(one(RISING, makeup={"days": 0}))
    assert member.check_in("2026-03-10T12:00:00Z", makeup=MARCH[8]).reason is Reason.MAKEUP_TOO_OLD


def test_a_late_check_in_of_a_filled_day_gives_nothing() -> None:
    member = Member(one(RISING))
    member.check_in("2026-03-05T12:00:00Z", makeup=MARCH[2])
    (late,) = member.on(MARCH[2])
    assert late.reason is Reason.DAY_ALREADY_CHECKED_IN
    assert member.points == 1


PROGRAM = program(streaks=[RISING, RISING | {"id": "reading", "wallet": "growth"}])


def test_each_streak_has_days_of_its_own() -> None:
    member = Member(PROGRAM)
    member.check_in("2026-03-01T12:00:00Z", streak="daily")
    verdict = member.check_in("2026-03-01T12:00:00Z", streak="reading")
    assert [(grant.rule_id, grant.wallet, grant.points) for grant in verdict.grants] == [("reading", "growth", 1)]


@pytest.mark.parametrize(
    ("versions", "streak", "reason"),
    [
        (PROGRAM, None, Reason.STREAK_NOT_NAMED),
        (PROGRAM, "weekly", Reason.STREAK_NOT_LISTED),
        (program(), None, Reason.STREAK_NOT_LISTED),
        (program(), "daily", Reason.STREAK_NOT_LISTED),
        (one(RISING), "daily", None),
    ],
)
def test_it_must_be_clear_which_streak_is_meant(versions: Program, streak: str | None, reason: Reason | None) -> None:
    assert Member(versions).check_in("2026-03-01T12:00:00Z", streak=streak).reason is reason


def need(at: Instant, arrived_at: Instant, makeup: date | None = None) -> StreakNeed | None:
    return check_in.needs(CheckIn(MEMBER, None, makeup, at), one(RISING), arrived_at)


def test_a_check_in_needs_the_day_before_and_what_follows() -> None:
    noon = instant("2026-03-10T12:00:00+08:00")
    assert need(noon, noon) == ("daily", date(2026, 3, 9))
    assert need(noon, noon, date(2026, 3, 5)) == ("daily", date(2026, 3, 4))


def test_what_is_refused_anyway_needs_nothing() -> None:
    noon = instant("2026-03-10T12:00:00+08:00")
    assert need(noon, noon, date(2026, 3, 2)) is None
    assert need(noon, Instant(noon + 30 * DAY_US)) is not None
    assert need(noon, Instant(noon + 30 * DAY_US + 1)) is None


def test_what_is_needed_does_not_grow_with_the_streak() -> None:
    member = Member(one(SEVENTH))
    start = date(2024, 1, 1)
    for number in range(800):
        if number != 790:
            (verdict,) = member.on(start + timedelta(days=number))
            assert (member.rows_seen <= 1, len(verdict.days)) == (True, 1)
    (late,) = member.on(start + timedelta(days=790))
    assert (member.rows_seen, len(late.days)) == (10, 10)
    assert member.points == 800 * 5 + 800 // 7 * 5


OLD, NEW = (
    program(streaks=[RISING | {"rewards": rewards}], version=version, effective_from=f"2026-03-{day}T00:00:00+08:00")
    for version, day, rewards in ((1, "01", [1, 2, 3, 4, 5]), (2, "04", [10, 20, 30, 40, 50]))
)


@pytest.mark.parametrize("order", list(permutations(range(5))), ids=str)
def test_each_day_is_rated_by_its_own_version(order: tuple[int, ...]) -> None:
    member = Member(OLD, NEW)
    member.on(*(MARCH[day] for day in order))
    assert member.points == 1 + 2 + 3 + 40 + 50


def test_what_a_poorer_version_would_take_stays() -> None:
    # By the new version 4 March is the seventh day and doubled, until 25 February makes it the eighth.
    old, new = (
        program(
            "UTC",
            streaks=[SEVENTH | {"rewards": rewards}],
            version=version,
            effective_from=f"2026-{day}T00:00:00Z",
        )
        for version, day, rewards in ((1, "01-01", [1]), (2, "03-04", [5]))
    )
    member = Member(old, new)
    february = [date(2026, 2, number) for number in range(25, 29)]
    member.on(*february[1:], *MARCH[:4])
    assert member.points == 6 * 1 + 10
    # In order the eight days would have given 6 + 2 + 5 = 13, which is less than they have.
    (late,) = member.on(february[0])
    assert (late.grants, member.points) == ([], 16)
    # From then on the days give what they would in order.
    assert gifts(member.on(MARCH[4])) == [[5]]


def policy(rewards: tuple[int, ...], after_last: str, every: int = 0) -> Streak:
    more = Every(every, 2) if every else None
    return Streak(RuleId("daily"), Wallet("points"), rewards, AfterLast(after_last), more, makeup_days=7)


@pytest.mark.parametrize(
    ("streak", "lengths"),
    [
        (policy((5,), "repeat"), None),
        (policy((5,), "repeat", 7), None),
        (policy((1, 2, 3, 4, 5), "repeat"), None),
        (policy((1, 2, 3, 4, 5), "repeat", 7), None),
        (policy((1, 2, 3, 4, 5), "restart"), None),
        (policy((1, 2, 3, 4, 5), "restart", 10), None),
        (policy((0, 0, 0, 0, 0, 0, 50), "restart"), None),
        (policy((10, 1), "repeat"), (1, 1)),  # 10 + 10 > 10 + 1 + 1
        (policy((1, 2, 3, 4, 5, 0), "repeat"), (3, 4)),  # 6 + 10 > 15
        (policy((1, 2, 3, 4, 5), "restart", 7), (15, 15)),
    ],
)
def test_which_rewards_would_make_it_better_to_miss_a_day(streak: Streak, lengths: tuple[int, int] | None) -> None:
    assert better_broken(streak) == lengths
