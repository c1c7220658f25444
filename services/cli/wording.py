"""Numbers, lists and durations in words."""

from collections.abc import Sequence

from shared.domain.time import DAY_US, SECOND_US

_UNITS = ((DAY_US, "day"), (3600 * SECOND_US, "hour"), (60 * SECOND_US, "minute"), (SECOND_US, "second"))


def duration(us: int) -> str:
    """Microseconds in the largest unit that they are whole in: 30 days."""
    for unit_us, name in _UNITS:
        if us and us % unit_us == 0:
            return count(us // unit_us, name)
    return "0 seconds"


def either(words: Sequence[str]) -> str:
    """One or more words of which any will do."""
    return " or ".join(words)


def listed(words: Sequence[str]) -> str:
    """One or more words that all hold: a, b and c."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def count(number: int, what: str) -> str:
    """So many of something: 1 point, 1,200 points."""
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def ordinal(number: int) -> str:
    """1st, 2nd, 3rd, 11th."""
    last = number % 10 if number % 100 not in (11, 12, 13) else 0
    return f"{number:,}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(last, 'th') }"
