"""What a check-in or a behaviour comes to: points to give or take, what to remember, or why nothing moves."""

from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import NamedTuple

from shared.domain.ids import RuleId, Wallet
from shared.domain.program_behaviours import Floor
from shared.domain.streak import StreakDay
from shared.domain.tally import TallyKey


class Reason(StrEnum):
    """Why a check-in or a behaviour moves no points. Where several apply, the first in this order is given."""

    STREAK_NOT_LISTED = "streak_not_listed"
    """The program has no such streak."""
    STREAK_NOT_NAMED = "streak_not_named"
    """The program has several streaks, and the check-in does not say which one it is for."""
    MAKEUP_WITHOUT_GAP = "makeup_without_gap"
    """The day to make up for is not over yet, so it is not missed."""
    MAKEUP_TOO_OLD = "makeup_too_old"
    """The day to make up for lies further back than the streak allows."""
    DAY_ALREADY_CHECKED_IN = "day_already_checked_in"
    """The day counts already, by a check-in or a make-up."""
    BEHAVIOUR_NOT_LISTED = "behaviour_not_listed"
    """No rule and no task of the program knows the behaviour."""
    TASK_STEP_OUT_OF_ORDER = "task_step_out_of_order"
    """It is a later step of a task. That is remembered, and gives its points when those before it are done."""
    LIMIT_REACHED = "limit_reached"
    """The rule has applied as often as it may in this period."""
    REFERENCE_ALREADY_COUNTED = "reference_already_counted"
    """The rule has applied to this order or subject before."""
    REFERENCE_MISSING = "reference_missing"
    """The rule applies once to each order or subject, and none is named."""
    TASK_STEP_ALREADY_DONE = "task_step_already_done"
    """The step of the task was done before."""
    TASK_TIME_OVER = "task_time_over"
    """The steps of the task that are done lie too far from this one."""
    BEHAVIOUR_OUT_OF_TIME = "behaviour_out_of_time"
    """The rule applies during another time."""
    CONDITION_NOT_MET = "condition_not_met"
    """The rule has a condition, which does not hold."""


class Grant(NamedTuple):
    """Points to give. How long they are good is counted from the local `day`."""

    rule_id: RuleId
    wallet: Wallet
    points: int
    day: date


class Penalty(NamedTuple):
    """Points to take, above zero. `floor` says what becomes of those that are not there."""

    rule_id: RuleId
    wallet: Wallet
    points: int
    floor: Floor

    def split(self, available: int) -> tuple[int, int]:
        """What is taken of the points that are available, and what is owed."""
        taken = min(self.points, available)
        return taken, self.points - taken if self.floor is Floor.DEBT else 0


@dataclass(slots=True)
class Verdict:
    """What an event comes to. With a `reason`, no points move.

    `tallies` and `days` are those that change, as they are from now on. They are to be kept also where nothing is
    given: a day counts whatever it gives, and a step of a task may wait. `failed` says whether a condition had no
    answer.
    """

    reason: Reason | None = None
    grants: list[Grant] = field(default_factory=list)
    penalties: list[Penalty] = field(default_factory=list)
    tallies: dict[TallyKey, int] = field(default_factory=dict)
    days: dict[date, StreakDay] = field(default_factory=dict)
    failed: bool = False
