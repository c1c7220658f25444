"""What time it is for an installation: now, or as far as a replay has come. The domain itself has no clock."""

import time

from shared.domain.time import Instant, from_unix_us
from shared.ledger.database import Connection, Pool
from shared.ledger.installation import Clock, read_installation


def wall_clock() -> Instant:
    """The machine's time."""
    return from_unix_us(time.time_ns() // 1000)


async def now_of(connection: Connection | Pool) -> Instant | None:
    """The time that the installation lives in; None for a replay that has not begun."""
    installation = await read_installation(connection)
    return wall_clock() if installation.clock is Clock.LIVE else installation.replay_now
