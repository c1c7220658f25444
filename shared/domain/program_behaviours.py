"""What a program says of behaviours and tasks: what a platform reports that members did, and what it gives or takes."""

from dataclasses import dataclass
from enum import StrEnum

from shared.domain.condition import Condition
from shared.domain.filters import Window
from shared.domain.ids import RuleId, Wallet
from shared.domain.tally import Period


@dataclass(frozen=True, slots=True)
class Times:
    """How often a rule applies, at most, in each period. What happened counts in the period in which it happened."""

    per: Period
    at_most: int


class Floor(StrEnum):
    """What becomes of a penalty that is more than the member has."""

    ZERO = "zero"
    """What is there is taken, and no more."""
    DEBT = "debt"
    """The rest is owed."""


class Reference(StrEnum):
    """What a behaviour may be about."""

    ORDER = "order"
    SUBJECT = "subject"
    """Whom or what the platform names, such as the member who was invited."""


@dataclass(frozen=True, slots=True)
class BehaviourRule:
    """Gives `points` of `wallet` for a behaviour, or takes them where they are below zero.

    It applies `during` a time (None: always), as often as `times` allows (None: without limit), and with `once_for`
    once for each order or subject. Its condition `when` is asked last.
    """

    rule_id: RuleId
    behaviour: str
    wallet: Wallet
    points: int
    floor: Floor
    times: Times | None
    once_for: Reference | None
    during: Window | None
    when: Condition | None = None


@dataclass(frozen=True, slots=True)
class TaskStep:
    """A behaviour that a task asks for, and what it gives."""

    behaviour: str
    points: int


@dataclass(frozen=True, slots=True)
class Task:
    """Steps that each give points once, and a bonus when all are done.

    With `in_order`, a step that is done before its turn gives its points when those before it are done. All steps must
    lie `within_us` of each other (None: no limit).
    """

    rule_id: RuleId
    wallet: Wallet
    steps: tuple[TaskStep, ...]
    in_order: bool
    bonus: int
    within_us: int | None
