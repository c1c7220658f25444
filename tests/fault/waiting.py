"""Waiting for conditions, each with a limit after which the round has failed."""

import asyncio
from collections.abc import Awaitable, Callable

LIMIT_S = 90.0
"""Longer than any wait of a round on a slow machine; an outage adds its own length."""

LOOK_EVERY_S = 0.02


class NeverError(Exception):
    """What was waited for did not come."""


async def until(holds: Callable[[], Awaitable[bool]], what: str, limit_s: float = LIMIT_S) -> None:
    """Wait for a condition; `NeverError` says what did not come."""
    try:
        async with asyncio.timeout(limit_s):
            while not await holds():
                await asyncio.sleep(LOOK_EVERY_S)
    except TimeoutError:
        raise NeverError(f"waited {limit_s:.0f} s in vain: {what}") from None
