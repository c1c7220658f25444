"""Streaks: what consecutive days of check-ins give, in whatever order the days become known (SEMANTICS, Check-in).

A streak is a row for each day: how long it is there, and what was given for the day so far. A new day looks at the day
before it, for the length, and at the days that follow it without a gap, which all become as much longer as there are
days before them. Nothing else is looked at, however long the streak is: a day that comes in order reads one row and
writes one, and a late one no more than lie between it and the latest check-in that was processed.

A day cannot come later than the program's `late_tolerance`, and a make-up fills one at most `makeup_days` before that;
so rows of days before all that can still arrive are never asked for again, but for the last of them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from enum import StrEnum
from itertools import accumulate
from math import lcm

from shared.domain.ids import ProgramVersion, RuleId, Wallet

ONE_DAY = timedelta(days=1)


class AfterLast(StrEnum):
    """What a streak gives that is longer than its list of rewards."""

    REPEAT = "repeat"
    """The last reward, again and again."""
    RESTART = "restart"
    """The list from its beginning; the streak goes on."""


@dataclass(frozen=True, slots=True)
class Every:
    """Each `days`-th day of a streak gives `factor` times its reward."""

    days: int
    factor: int


@dataclass(frozen=True, slots=True)
class Streak:
    """Gives points of `wallet` for consecutive days: `rewards` has those of the first, the second, the third …

    A missed day may be made up for on the `makeup_days` days after it.
    """

    rule_id: RuleId
    wallet: Wallet
    rewards: tuple[int, ...]
    after_last: AfterLast
    every: Every | None
    makeup_days: int

    def reward(self, length: int) -> int:
        """What the day gives with which a streak reaches a length, from 1 on."""
        listed = len(self.rewards)
        place = (length - 1) % listed if self.after_last is AfterLast.RESTART else min(length, listed) - 1
        times = self.every.factor if self.every is not None and length % self.every.days == 0 else 1
        return self.rewards[place] * times

    @property
    def period(self) -> int:
        """After how many days the rewards repeat, once the list has been gone through."""
        listed = len(self.rewards) if self.after_last is AfterLast.RESTART else 1
        return lcm(listed, 1 if self.every is None else self.every.days)


@dataclass(frozen=True, slots=True)
class StreakDay:
    """A day that counts: how long the streak is with it, what was given for it, and by which version it is rated."""

    length: int
    given: int
    version: ProgramVersion


Days = Mapping[date, StreakDay]
"""The days of one member and streak that are known, out of those that a decision asked for."""


def add_day(
    days: Days, day: date, version: ProgramVersion, policy: Callable[[ProgramVersion], Streak]
) -> tuple[dict[date, StreakDay], list[tuple[date, int]]]:
    """Add a day that does not count yet: the rows that it changes, and the points that are to be given by day.

    `days` must hold the day before, and all days after, as far as they are known. Each day is rated by its own version.

    Points that were given stay. The days after the new one may now be worth less than was given for them, one by one,
    as when the seventh becomes the eighth; that is set off against what the others are worth more. So with the new day
    they have got what they would have in order. Only where they had got more than that already (`better_broken`, or
    rewards that a new version lowered) do they keep more; then nothing is given.
    """
    before = days.get(day - ONE_DAY)
    length = before.length if before is not None else 0
    found: StreakDay | None = StreakDay(0, 0, version)
    changed: dict[date, StreakDay] = {}
    owing: dict[date, int] = {}
    while found is not None:
        length += 1
        owing[day] = policy(found.version).reward(length) - found.given
        changed[day] = replace(found, length=length)
        day += ONE_DAY
        found = days.get(day)
    left = sum(owing.values())
    gifts = []
    for each, points in owing.items():
        if (gift := min(points, left)) > 0:
            gifts.append((each, gift))
            changed[each] = replace(changed[each], given=changed[each].given + gift)
            left -= gift
    return changed, gifts


def better_broken(streak: Streak) -> tuple[int, int] | None:
    """The lengths of two streaks that give more than the one that they become when the only day between is filled.

    A policy with such lengths has no total that the order of arrival leaves alone, for what was given stays. Those up
    to the list and one period are enough: beyond, each further period adds the same on both sides.
    """
    longest = len(streak.rewards) + streak.period
    gives = [0, *accumulate(streak.reward(length) for length in range(1, 2 * longest + 2))]
    for longer in range(1, longest + 1):
        for shorter in range(1, longer + 1):
            if gives[shorter] + gives[longer] > gives[shorter + 1 + longer]:
                return shorter, longer
    return None
