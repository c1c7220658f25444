"""What rules ask about a member: a picture of it as it was at one instant."""

from calendar import isleap
from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True, slots=True)
class Profile:
    """A member as it was known when something happened. What is not known is None, and meets no condition."""

    tier: str | None = None
    """The tier held, before what happened then counts."""
    birthday: tuple[int, int] | None = None
    """Month and day."""
    country: str | None = None
    joined: date | None = None
    tags: frozenset[str] = frozenset()

    def has_birthday_on(self, day: date) -> bool:
        """Whether it is the member's birthday; one on 29 February is on the 28th in years without it."""
        if self.birthday == (2, 29) and not isleap(day.year):
            return (day.month, day.day) == (2, 28)
        return (day.month, day.day) == self.birthday


NOBODY = Profile()
"""A member of whom nothing is known."""
