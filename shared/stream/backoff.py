"""How long to wait before something that is away is tried again."""

from dataclasses import dataclass

FIRST_S = 0.1
LAST_S = 5.0


@dataclass(slots=True)
class Backoff:
    """Doubles from 0.1 s up to 5 s, and starts over after a success."""

    _next_s: float = FIRST_S

    def next_s(self) -> float:
        """How many seconds to wait this time."""
        wait_s, self._next_s = self._next_s, min(self._next_s * 2, LAST_S)
        return wait_s

    def succeeded(self) -> None:
        """Forget the failures."""
        self._next_s = FIRST_S
