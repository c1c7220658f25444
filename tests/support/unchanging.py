"""Tables that nobody changes: neither by a role, nor past the roles."""

from collections.abc import Sequence

import asyncpg
import pytest

from shared.ledger.database import Role
from shared.settings import Settings
from shared.setup import open_ledger


async def assert_append_only(settings: Settings, roles: Sequence[Role], change: str) -> None:
    """The roles may not run the statement, and a trigger refuses it to the superuser."""
    for role in roles:
        async with open_ledger(settings, role) as pool:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await pool.execute(change)
    superuser = await asyncpg.connect(settings.database)
    try:
        with pytest.raises(asyncpg.RestrictViolationError, match="append-only"):
            await superuser.execute(change)
    finally:
        await superuser.close()
