"""Tallies: numbers that are kept of a member for a rule, a task or a cap, some of them for a period."""

from collections.abc import Mapping
from datetime import date, timedelta
from enum import StrEnum
from typing import NamedTuple, assert_never

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


def first_day(per: Period, during: Window | None, day: date, calendar: Calendar) -> date | None:
    """The first day of the period in which what happens on a local day counts; None for ever."""
    match per:
        case Period.DAY:
            return day
        case Period.WEEK:
            return day - timedelta(days=day.weekday())
        case Period.MONTH:
            return day.replace(day=1)
        case Period.CAMPAIGN:
            return None if during is None else calendar.day_of(during.begins_at)
        case Period.EVER:
            return None
        case _:
            assert_never(per)


def told_before(behaviour: str, order_id: OrderId) -> TallyKey:
    """Where it is kept that a behaviour has told of an order which had not come yet."""
    return TallyKey(f"{behaviour}:of:{order_id}", None)
