"""How far a verification is: told to whoever asked for it."""

from typing import Protocol


class Progress(Protocol):
    """Hears of long work."""

    def start(self, part: str, total: int) -> None:
        """A part begins, and has so many steps."""
        ...

    def advance(self, part: str, steps: int) -> None:
        """So many steps of a part are done."""
        ...


class Silent:
    """Hears and says nothing."""

    def start(self, part: str, total: int) -> None:
        """Nothing."""

    def advance(self, part: str, steps: int) -> None:
        """Nothing."""
