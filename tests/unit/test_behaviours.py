"""What behaviours give and take, and how often."""

from typing import Any

import pytest

from shared.domain.ids import RuleId, Wallet
from shared.domain.program_behaviours import Floor
from shared.domain.verdict import Penalty, Reason
from tests.support.habits import Member, gifts, program

REVIEW = {"id": "review", "behaviour": "review", "wallet": "points", "points": 5}
SPAM = {"id": "spam", "behaviour": "spam-report", "wallet": "points", "points": -20}
CAMPAIGN = {"from": "2026-03-05T10:00:00+08:00", "until": "2026-03-20T00:00:00+08:00"}


def member(*rules: dict[str, Any], zone: str = "Asia/Shanghai") -> Member:
    return Member(program(zone, behaviours=list(rules)))


def times(per: str, at_most: int, **more: Any) -> dict[str, Any]:
    return {**REVIEW, "times": {"per": per, "at_most": at_most}, **more}


def test_every_time_where_nothing_is_said() -> None:
    one = member(REVIEW)
    assert gifts(one.does("review", "2026-03-01T12:00:00Z") for _ in range(4)) == [[5]] * 4
    assert one.tallies == {}


def test_one_that_the_program_does_not_have() -> None:
    verdict = member(REVIEW).does("Review", "2026-03-01T12:00:00Z")
    assert (verdict.reason, verdict.grants) == (Reason.BEHAVIOUR_NOT_LISTED, [])


def test_once_is_once_for_ever() -> None:
    one = member(REVIEW | {"times": {"once": True}})
    assert gifts([one.does("review", "2026-03-01T12:00:00Z")]) == [[5]]
    again = one.does("review", "2029-03-01T12:00:00Z")
    assert (again.reason, again.grants, again.tallies) == (Reason.LIMIT_REACHED, [], {})


@pytest.mark.parametrize(
    ("zone", "per", "last", "first"),
    [
        ("Asia/Shanghai", "day", "2026-03-01T15:59:59.999999Z", "2026-03-01T16:00:00Z"),
        ("America/New_York", "day", "2026-03-09T03:59:59Z", "2026-03-09T04:00:00Z"),  # a day of 23 hours ends
        ("Africa/Cairo", "day", "2026-04-23T21:59:59Z", "2026-04-23T22:00:00Z"),  # without a midnight
        ("Asia/Shanghai", "week", "2026-03-08T15:59:59Z", "2026-03-08T16:00:00Z"),  # Sunday, Monday
        ("America/New_York", "week", "2026-03-09T03:59:59Z", "2026-03-09T04:00:00Z"),
        ("UTC", "week", "2027-01-03T23:59:59Z", "2027-01-04T00:00:00Z"),  # the last week of 2026 ends
        ("Asia/Shanghai", "month", "2026-02-28T15:59:59Z", "2026-02-28T16:00:00Z"),
        ("America/New_York", "month", "2026-11-01T03:59:59Z", "2026-11-01T04:00:00Z"),
        ("UTC", "month", "2028-02-29T23:59:59Z", "2028-03-01T00:00:00Z"),
    ],
)
def test_a_period_ends_where_it_does_in_the_zone(zone: str, per: str, last: str, first: str) -> None:
    one = member(times(per, 2), zone=zone)
    assert gifts(one.does("review", last) for _ in range(3)) == [[5], [5], []]
    assert gifts(one.does("review", first) for _ in range(3)) == [[5], [5], []]
    # A late one counts in the period in which it happened.
    assert one.does("review", last).reason is Reason.LIMIT_REACHED


def test_a_week_holds_days_of_two_years() -> None:
    one = member(times("week", 1), zone="UTC")
    assert gifts([one.does("review", "2026-12-28T12:00:00Z"), one.does("review", "2027-01-03T12:00:00Z")]) == [[5], []]


def test_a_campaign_has_a_time_and_a_limit() -> None:
    one = member(times("campaign", 2, during=CAMPAIGN))
    assert one.does("review", "2026-03-05T09:59:59+08:00").reason is Reason.BEHAVIOUR_OUT_OF_TIME
    moments = ["2026-03-05T10:00:00+08:00", "2026-03-19T23:59:59+08:00", "2026-03-12T00:00:00+08:00"]
    verdicts = [one.does("review", moment) for moment in moments]
    assert gifts(verdicts) == [[5], [5], []]
    assert verdicts[-1].reason is Reason.LIMIT_REACHED
    assert one.does("review", "2026-03-20T00:00:00+08:00").reason is Reason.BEHAVIOUR_OUT_OF_TIME


def test_a_campaign_that_comes_again_counts_anew() -> None:
    autumn = {"from": "2026-09-05T10:00:00+08:00", "until": "2026-09-20T00:00:00+08:00"}
    one = Member(
        program(behaviours=[times("campaign", 1, during=CAMPAIGN)]),
        program(
            behaviours=[times("campaign", 1, during=autumn)], version=2, effective_from="2026-09-01T00:00:00+08:00"
        ),
    )
    moments = ["2026-03-12T12:00:00Z", "2026-03-12T13:00:00Z", "2026-09-12T12:00:00Z", "2026-09-12T13:00:00Z"]
    assert gifts(one.does("review", moment) for moment in moments) == [[5], [], [5], []]


def test_once_for_each_order() -> None:
    one = member(REVIEW | {"once_for": "order"})
    verdicts = [one.does("review", "2026-03-01T12:00:00Z", order, "anna") for order in ("o1", "o2", "o1", None)]
    assert gifts(verdicts) == [[5], [5], [], []]
    assert [verdict.reason for verdict in verdicts[2:]] == [
        Reason.REFERENCE_ALREADY_COUNTED,
        Reason.REFERENCE_MISSING,
    ]


def test_once_for_each_subject_within_a_limit() -> None:
    one = member(times("month", 2, once_for="subject"))
    verdicts = [
        one.does("review", moment, subject=subject, order="o1")
        for moment, subject in [
            ("2026-03-01T12:00:00Z", "anna"),
            ("2026-03-02T12:00:00Z", "anna"),  # does not use up the limit
            ("2026-03-03T12:00:00Z", "ben"),
            ("2026-03-04T12:00:00Z", "carl"),  # does not use up Carl
            ("2026-04-01T12:00:00Z", "carl"),
        ]
    ]
    assert gifts(verdicts) == [[5], [], [5], [], [5]]
    assert [verdict.reason for verdict in verdicts if verdict.reason] == [
        Reason.REFERENCE_ALREADY_COUNTED,
        Reason.LIMIT_REACHED,
    ]


def test_every_rule_for_a_behaviour_gives() -> None:
    one = member(
        times("day", 1),
        {"id": "spring", "behaviour": "review", "wallet": "growth", "points": 2, "during": CAMPAIGN},
    )
    verdicts = [one.does("review", moment) for moment in ("2026-03-10T12:00:00Z", "2026-03-10T13:00:00Z")]
    assert [(grant.rule_id, grant.wallet, grant.points) for grant in verdicts[0].grants] == [
        ("review", "points", 5),
        ("spring", "growth", 2),
    ]
    assert [grant.rule_id for grant in verdicts[1].grants] == ["spring"]
    assert [verdict.reason for verdict in verdicts] == [None, None]


def test_of_several_reasons_the_first_in_their_order_is_given() -> None:
    one = member(
        {"id": "spring", "behaviour": "review", "wallet": "growth", "points": 2, "during": CAMPAIGN},
        REVIEW | {"times": {"once": True}},
    )
    one.does("review", "2026-03-01T12:00:00Z")
    assert one.does("review", "2026-03-01T12:00:00Z").reason is Reason.LIMIT_REACHED


def test_points_are_good_from_the_day_on_which_it_happened() -> None:
    verdict = member(REVIEW).does("review", "2026-03-01T16:00:00Z")
    assert [str(grant.day) for grant in verdict.grants] == ["2026-03-02"]


@pytest.mark.parametrize(
    ("floor", "available", "taken", "owed"),
    [
        ("zero", 100, 20, 0),
        ("zero", 20, 20, 0),
        ("zero", 15, 15, 0),
        ("zero", 0, 0, 0),
        ("debt", 100, 20, 0),
        ("debt", 15, 15, 5),
        ("debt", 0, 0, 20),
    ],
)
def test_a_penalty_that_is_more_than_the_member_has(floor: str, available: int, taken: int, owed: int) -> None:
    (penalty,) = member(SPAM | {"floor": floor}).does("spam-report", "2026-03-01T12:00:00Z").penalties
    assert penalty == Penalty(RuleId("spam"), Wallet("points"), 20, Floor(floor))
    assert penalty.split(available) == (taken, owed)


def test_a_penalty_stops_at_zero_unless_it_says_otherwise() -> None:
    (penalty,) = member(SPAM).does("spam-report", "2026-03-01T12:00:00Z").penalties
    assert penalty.floor is Floor.ZERO


def test_a_penalty_has_limits_like_any_rule() -> None:
    one = member(SPAM | {"times": {"per": "day", "at_most": 1}})
    verdicts = [one.does("spam-report", "2026-03-01T12:00:00Z") for _ in range(2)]
    assert [(len(verdict.penalties), verdict.reason) for verdict in verdicts] == [
        (1, None),
        (0, Reason.LIMIT_REACHED),
    ]
