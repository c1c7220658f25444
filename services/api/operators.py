"""Who may write over HTTP: operators with a token, at a desk of their own."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from services.api.problems import ProblemError, ProblemType
from shared.contracts.program import ProgramError
from shared.ledger.database import LEDGER_ERRORS
from shared.ledger.desk import Desk, open_desk
from shared.ledger.installation import InstallationError
from shared.operators import Operator, operator_of
from shared.reads.reader import LedgerAwayError
from shared.settings import Settings

WAIT_S = 10.0
"""What an adjustment may take before its caller is told to ask again: a posting takes milliseconds, but may have to
wait for a worker that is frozen with the member's account."""

WHO_ARE_YOU = "Send an operator's token in the header `Authorization: Bearer …`."

NO_TOKENS = (
    "No operator's token is configured here, so nobody may adjust points over HTTP. Put hashes of tokens into"
    " POINTSTREAM_OPERATOR_TOKENS (docs/adjustments.md), or use `pointstream adjust`."
)

_AWAY: tuple[type[BaseException], ...] = (*LEDGER_ERRORS, InstallationError, ProgramError)


class Desks:
    """The operators' desk of an installation: opened for the first of them, never where no token is configured."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._opening = asyncio.Lock()
        self._open = AsyncExitStack()
        self._desk: Desk | None = None

    @asynccontextmanager
    async def desk(self) -> AsyncIterator[Desk]:
        """The desk; raises `LedgerAwayError` when PostgreSQL is away. Asking again with the same id is safe then."""
        try:
            async with asyncio.timeout(WAIT_S):
                async with self._opening:
                    if self._desk is None:
                        self._desk = await self._open.enter_async_context(open_desk(self.settings.database))
                yield self._desk
        except _AWAY as error:
            raise LedgerAwayError(f"PostgreSQL is away: {str(error) or repr(error)}") from error

    async def close(self) -> None:
        """Give the connections back."""
        await self._open.aclose()


_bearer = HTTPBearer(auto_error=False, description="An operator's token.")


async def authenticate(
    request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
) -> Operator:
    """The operator whose token the request carries."""
    settings: Settings = request.app.state.desks.settings
    if not settings.operator_tokens:
        raise ProblemError(ProblemType.NOT_ALLOWED, NO_TOKENS)
    operator = None if credentials is None else operator_of(settings.operator_tokens, credentials.credentials)
    if operator is None:
        raise ProblemError(ProblemType.NOT_AUTHENTICATED, WHO_ARE_YOU)
    return operator


Authenticated = Annotated[Operator, Depends(authenticate)]
