"""What parts of a program apply to."""

from dataclasses import dataclass

from shared.domain.time import Instant


@dataclass(frozen=True, slots=True)
class Window:
    """From an instant (inclusive) to another (exclusive)."""

    begins_at: Instant
    ends_at: Instant

    def holds(self, at: Instant) -> bool:
        """Whether an instant lies in it."""
        return self.begins_at <= at < self.ends_at
