"""An installation that workers filled, for the tests of a module, and the command that verifies it."""

from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from services.earn.app import ingest
from services.publisher.app import Publisher
from shared.ledger.database import Role
from shared.ledger.installation import create_database, drop_database
from shared.settings import ORDER_PAID, Settings
from shared.setup import open_ledger
from tests.integration.verify.verifying import ORDERS, SHARD, Found, Plant, Verify, event, invoke, is_done, wait_for
from tests.support.installing import Make
from tests.support.running import running, send

WHERE = {
    ":alice": "shard = :shard AND member_id = 'alice'",
    ":second": "shard = :shard AND pos = (SELECT pos FROM postings WHERE member_id = 'alice' AND version = 2)",
    ":shard": str(SHARD),
}
"""What a planted statement may say."""


@pytest.fixture(scope="module")
async def real(make_installations: Make) -> Settings:
    """An installation in which orders went through worker and publisher: rated, refused and repeated ones."""
    settings = await make_installations(topics=True)
    orders = [event(number) for number in range(ORDERS)]
    refused = event(ORDERS, currency="EUR")
    await send(settings, ORDER_PAID, [*orders, orders[0], refused, b"no order"])
    async with open_ledger(settings, Role.READER) as ledger, running(ingest(settings), Publisher(settings)):
        await wait_for(lambda: is_done(settings, ledger, ORDERS + 1))
    return settings


@pytest.fixture(scope="module")
async def copy(real: Settings) -> AsyncIterator[str]:
    """A copy of the database as the workers made it."""
    name = f"{real.installation}_copy"
    await create_database(real.postgres, name, template=real.installation)
    yield name
    await drop_database(real.postgres, name)


@pytest.fixture
async def plant(real: Settings, copy: str) -> AsyncIterator[Plant]:
    """Changes the ledger as nobody but a superuser can. Afterwards it is as the workers made it."""

    async def change(statements: str) -> None:
        connection = await asyncpg.connect(real.database)
        try:
            for table in ("postings", "movements"):
                await connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER append_only")
            for name, condition in WHERE.items():
                statements = statements.replace(name, condition)
            await connection.execute(statements)
        finally:
            await connection.close()

    yield change
    await drop_database(real.postgres, real.installation)
    await create_database(real.postgres, real.installation, template=copy)


@pytest.fixture
def verified(real: Settings, tmp_path: Path) -> Verify:
    """Runs the command and reads what it says."""

    async def run(*arguments: str, settings: Settings = real) -> Found:
        return Found(await invoke(settings, "--json", *arguments, home=tmp_path))

    return run
