"""What the fixture that makes installations looks like, and how commands find one."""

from pathlib import Path
from typing import Protocol

import pytest

from shared.ledger.installation import Clock
from shared.settings import Settings


class Make(Protocol):
    """Makes an installation: which program (its text), which clock, how many shards, and with topics or without."""

    async def __call__(
        self, program: str | None = None, clock: Clock = Clock.LIVE, shards: int = 4, topics: bool = False
    ) -> Settings: ...


def show_to_commands(made: Settings, monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    """Let commands find an installation in the environment, and no local stack of anybody's but one in `home`."""
    monkeypatch.setenv("POINTSTREAM_HOME", str(home))
    for name in ("kafka", "postgres", "redis", "installation"):
        monkeypatch.setenv(f"POINTSTREAM_{name.upper()}", getattr(made, name))
