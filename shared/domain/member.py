"""What rules ask about a member: a picture of it as it was at one instant."""

from calendar import isleap
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from shared.domain.time import Instant


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


@dataclass(frozen=True, slots=True)
class KnownProfile:
    """What one version of what a platform tells of a member says, and since when it is so."""

    version: int
    since: Instant
    profile: Profile


def profile_at(known: Iterable[KnownProfile], at: Instant) -> Profile:
    """The member as it was at an instant: of the versions that were so by then, the greatest says it."""
    so_far = [each for each in known if each.since <= at]
    return max(so_far, key=lambda each: each.version).profile if so_far else NOBODY
