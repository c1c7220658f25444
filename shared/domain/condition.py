"""Conditions beyond the filters. The core asks them, and knows nothing of the language in which they are written."""

from dataclasses import dataclass, field
from typing import Protocol

from shared.domain.facts import Behaviour, Order
from shared.domain.member import Profile
from shared.domain.time import Calendar


class ConditionError(Exception):
    """A condition that has no answer for what happened: it divided by zero, or left the integers."""


@dataclass(slots=True)
class Activation:
    """What happened, to whom and in which zone: all that conditions may be asked about."""

    fact: Order | Behaviour
    profile: Profile
    calendar: Calendar
    answers: dict[str, bool | None] = field(default_factory=dict)
    """What each condition that was asked has answered, by how it is written; None where it had no answer."""
    made: dict[object, object] = field(default_factory=dict)
    """What conditions have made of it for themselves, so that it is made once."""

    def meets(self, condition: "Condition") -> bool:
        """Whether a condition holds. One that has no answer does not, and that it had none is kept."""
        expression = condition.expression
        if expression not in self.answers:
            try:
                self.answers[expression] = condition.holds(self)
            except ConditionError:
                self.answers[expression] = None
        return self.answers[expression] is True

    @property
    def failed(self) -> bool:
        """Whether a condition had no answer."""
        return None in self.answers.values()


class Condition(Protocol):
    """A condition that was checked. Two are equal when they are written alike."""

    @property
    def expression(self) -> str:
        """How it is written."""

    @property
    def asks_who(self) -> bool:
        """Whether it looks at the member's profile."""

    def holds(self, activation: Activation) -> bool:
        """Whether it holds; pure. Raises `ConditionError` where it has no answer."""
