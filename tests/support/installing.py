"""What the fixture that makes installations looks like."""

from typing import Protocol

from shared.ledger.installation import Clock
from shared.settings import Settings


class Make(Protocol):
    """Makes an installation: which program (its text), which clock, how many shards, and with topics or without."""

    async def __call__(
        self, program: str | None = None, clock: Clock = Clock.LIVE, shards: int = 4, topics: bool = False
    ) -> Settings: ...
