"""Getting to the ledger, also where the API is up before PostgreSQL is."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import asyncpg
import structlog

from shared.contracts.program import ProgramError
from shared.domain.time import Instant
from shared.ledger.database import CONNECTION_ERRORS
from shared.ledger.installation import InstallationError
from shared.metrics import RECONNECTS, Server
from shared.reads.reader import LedgerAwayError, Reader, open_reader
from shared.settings import Settings

RETRY_S = 0.5
"""One connection attempt: cheap for a server that comes back, and soon enough for whoever waits."""

_NOT_YET: tuple[type[BaseException], ...] = (*CONNECTION_ERRORS, asyncpg.PostgresError, InstallationError, ProgramError)
"""What can be mended while the API runs: no server, no database, no tables, no program."""

log = structlog.get_logger()


class Ledger:
    """The reader, from the moment on at which there is one."""

    def __init__(self, settings: Settings, clock: Callable[[], Instant]) -> None:
        self._settings = settings
        self._clock = clock
        self._reader: Reader | None = None
        self._obstacle = "the first connection is under way"

    @property
    def reader(self) -> Reader:
        """The reader; raises `LedgerAwayError` with the reason while there is none."""
        if self._reader is None:
            raise LedgerAwayError(self._obstacle)
        return self._reader

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[None]:
        """Keep trying to connect as long as the block lasts, then close."""
        connecting = asyncio.create_task(self._connect())
        try:
            yield
        finally:
            connecting.cancel()
            with suppress(asyncio.CancelledError):
                await connecting
            if self._reader is not None:
                await self._reader.close()

    async def _connect(self) -> None:
        while self._reader is None:
            try:
                self._reader = await open_reader(self._settings, self._clock)
            except _NOT_YET as error:
                if isinstance(error, CONNECTION_ERRORS):
                    RECONNECTS.labels(Server.POSTGRESQL).inc()
                obstacle = str(error) or repr(error)
                if obstacle != self._obstacle:
                    log.warning("the ledger cannot be read yet", error=obstacle)
                self._obstacle = obstacle
                await asyncio.sleep(RETRY_S)
        log.info("reading the ledger", installation=self._settings.installation)
