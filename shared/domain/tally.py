"""Tallies: numbers that are kept of a member for a rule, a task or a cap, some of them for a period."""

from collections.abc import Mapping
from datetime import date, timedelta
from enum import StrEnum
from typing import Final, NamedTuple, assert_never

from shared.domain.filters import Window
from shared.domain.ids import OrderId
from shared.domain.time import Calendar


class TallyKey(NamedTuple):
    """Which number: its name, which has the id of a rule, a task or a cap, and the first day of the period that it
    counts in; None is for ever."""

    name: str
    period: date | None


Tallies = Mapping[TallyKey, int]
"""The numbers of one member, out of those that a decision asked for. One that was never written is zero."""


class Period(StrEnum):
    """In what is counted, in the program's zone."""

    DAY = "day"
    WEEK = "week"
    """From Monday on."""
    MONTH = "month"
    CAMPAIGN = "campaign"
    """A time that is named with `during`."""
    EVER = "ever"


# Looking a member up in its enum costs more than all else that is done with it here.
DAY: Final = Period.DAY
WEEK: Final = Period.WEEK
MONTH: Final = Period.MONTH
CAMPAIGN: Final = Period.CAMPAIGN
EVER: Final = Period.EVER


def first_day(per: Period, during: Window | None, day: date, calendar: Calendar) -> date | None:
    """The first day of the period in which what happens on a local day counts; None for ever."""
    if per is DAY:
        return day
    if per is WEEK:
        return day - timedelta(days=day.weekday())
    if per is MONTH:
        return day.replace(day=1)
    if per is CAMPAIGN:
        return None if during is None else calendar.day_of(during.begins_at)
    if per is EVER:
        return None
    assert_never(per)


def told_before(behaviour: str, order_id: OrderId) -> TallyKey:
    """Where it is kept that a behaviour has told of an order which had not come yet."""
    return TallyKey(f"{behaviour}:of:{order_id}", None)
