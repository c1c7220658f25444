"""Check-ins and make-ups: which day of which streak they add, and what that gives (SEMANTICS, Check-in and streaks)."""

from datetime import date, timedelta
from typing import NamedTuple

from shared.domain.facts import CheckIn
from shared.domain.ids import ProgramVersion, RuleId
from shared.domain.program import Program, Programs
from shared.domain.streak import ONE_DAY, Days, Streak, add_day
from shared.domain.time import Instant
from shared.domain.verdict import Grant, Reason, Verdict


class StreakNeed(NamedTuple):
    """The days of a member's streak that a decision needs: all that are known from `first_day` on."""

    streak: RuleId
    first_day: date


def needs(check_in: CheckIn, program: Program, arrived_at: Instant) -> StreakNeed | None:
    """What must be known to judge a check-in by the program in force when it happened; None where nothing must.

    One that is too late is refused and needs nothing, so that nobody can have the days of years looked up.
    """
    found = _aim(check_in, program)
    if isinstance(found, Reason) or program.is_late(check_in.occurred_at, arrived_at):
        return None
    streak, day = found
    return StreakNeed(streak.rule_id, day - ONE_DAY)


def judge(check_in: CheckIn, program: Program, programs: Programs, days: Days) -> Verdict:
    """What a check-in gives by the program in force when it happened. `days` are those that it needs, or more.

    The points of a later day are good as long as if they had been given then; those that a make-up brings, as long as
    what is given on its own day.
    """
    found = _aim(check_in, program)
    if isinstance(found, Reason):
        return Verdict(found)
    streak, day = found
    if day in days:
        return Verdict(Reason.DAY_ALREADY_CHECKED_IN)

    def policy(version: ProgramVersion) -> Streak:
        return programs.version(version).streak(streak.rule_id) or streak

    changed, gifts = add_day(days, day, program.version, policy)
    today = program.calendar.day_of(check_in.occurred_at)
    grants = [Grant(streak.rule_id, streak.wallet, points, max(each, today)) for each, points in gifts]
    return Verdict(grants=grants, days=changed)


def _aim(check_in: CheckIn, program: Program) -> tuple[Streak, date] | Reason:
    """Which day of which streak a check-in is for, or why it is for none."""
    streak = _streak(check_in, program)
    if isinstance(streak, Reason):
        return streak
    today = program.calendar.day_of(check_in.occurred_at)
    day = check_in.makeup_day
    if day is None:
        return streak, today
    if day >= today:
        return Reason.MAKEUP_WITHOUT_GAP
    if today - day > timedelta(days=streak.makeup_days):
        return Reason.MAKEUP_TOO_OLD
    return streak, day


def _streak(check_in: CheckIn, program: Program) -> Streak | Reason:
    if check_in.streak is not None:
        return program.streak(check_in.streak) or Reason.STREAK_NOT_LISTED
    if len(program.streaks) > 1:
        return Reason.STREAK_NOT_NAMED
    return program.streaks[0] if program.streaks else Reason.STREAK_NOT_LISTED
