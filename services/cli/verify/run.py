"""`verify`: everything that must agree is held against each other, as it was at one moment."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import asyncpg
from aiokafka.errors import KafkaError
from redis.exceptions import RedisError

from services.cli.config import POSTGRES_ERRORS
from services.cli.verify.budgets import check_budgets
from services.cli.verify.ledger import LedgerCheck
from services.cli.verify.log import check_offsets, read_published
from services.cli.verify.progress import Progress, Silent
from services.cli.verify.redis import check_redis
from services.cli.verify.result import Check, Findings, Verification
from services.cli.verify.snapshot import CONNECTIONS, take_snapshot
from services.cli.verify.topic import TopicCheck
from shared.cache.balances import BalanceCache
from shared.contracts.program import ProgramDocument
from shared.domain.ids import Shard, Wallet
from shared.ledger.database import Pool, Role, open_pool
from shared.ledger.installation import InstallationError, read_installation
from shared.ledger.programs import read_registered
from shared.settings import Settings


class UnreachableError(Exception):
    """A server that the verification needs does not answer. The message says which."""


async def verify(
    settings: Settings,
    *,
    since: int = 0,
    topic: bool = True,
    redis: bool = True,
    progress: Progress | None = None,
) -> Verification:
    """Verify an installation. Events may flow meanwhile.

    `since` takes of each shard only what was posted behind this position, and believes what the postings before it
    state. Without `topic`, `points-changed` is not read; without `redis`, Redis is not. Raises `UnreachableError` when
    a server does not answer, and `InstallationError` where there is no installation.
    """
    with _errors_told(settings):
        pool = await open_pool(settings.database, Role.READER, max_size=CONNECTIONS + 1, by_key=False)
        try:
            findings = await _verify(settings, pool, since, topic, redis, progress or Silent())
        finally:
            pool.terminate()
    return Verification(
        settings.installation,
        since,
        tuple(found.checked() for found in findings),
        tuple(difference for found in findings for difference in found.first),
    )


async def _verify(
    settings: Settings, pool: Pool, since: int, topic: bool, redis: bool, progress: Progress
) -> list[Findings]:
    """What comes after the ledger is asked before it, and what comes before it after it: so none can seem ahead."""
    installation = await read_installation(pool)
    shards = [Shard(shard) for shard in range(installation.shards)]
    cache = BalanceCache(settings.redis, settings.installation, installation.shards)
    try:
        cursors = await cache.cursors(shards) if redis else {}
        published = await read_published(settings, installation.shards)
        async with take_snapshot(pool) as snapshot:
            async with snapshot.connection() as connection:
                documents = [version.document for version in await read_registered(connection)]
                offsets = Findings(Check.OFFSETS, "positions and offsets", settings.installation)
                with _timed(offsets):
                    await check_offsets(connection, settings, published, offsets)
            ledger = LedgerCheck(snapshot, settings.installation, installation.shards, since, _counters(documents))
            await ledger.run(progress)
            findings = [*ledger.findings, offsets]
            if since == 0:
                budgets = Findings(Check.BUDGETS, "budgets", settings.installation)
                with _timed(budgets):
                    async with snapshot.connection() as connection:
                        await check_budgets(connection, [document.to_domain() for document in documents], budgets)
                findings.append(budgets)
            if redis:
                cached = Findings(Check.REDIS, "balances", settings.installation)
                with _timed(cached):
                    await check_redis(snapshot, cache, cursors, since, cached, progress)
                findings.append(cached)
            if topic:
                check = TopicCheck(snapshot, settings, published, since)
                with _timed(check.topic):
                    await check.run(progress)
                findings += [check.topic, check.running]
    finally:
        await cache.close()
    return findings


def _counters(documents: Sequence[ProgramDocument]) -> list[Wallet]:
    """The wallets that a version of the program calls counters: they keep lots only of what will fall due."""
    return sorted(
        {Wallet(name) for document in documents for name, wallet in document.wallets.items() if not wallet.spendable}
    )


@contextmanager
def _timed(findings: Findings) -> Iterator[None]:
    started_s = time.monotonic()
    try:
        yield
    finally:
        findings.seconds += time.monotonic() - started_s


@contextmanager
def _errors_told(settings: Settings) -> Iterator[None]:
    """Say of an error which server it is that does not answer."""
    try:
        yield
    except Exception as error:
        cause: BaseException = error
        while isinstance(cause, BaseExceptionGroup):
            cause = cause.exceptions[0]
        if isinstance(cause, asyncpg.InvalidCatalogNameError):
            raise InstallationError(
                f"There is no installation {settings.installation!r} here. `pointstream init` makes it."
            ) from error
        server = _server(cause)
        if server is None:
            raise
        raise UnreachableError(
            f"{server} does not answer: {str(cause) or repr(cause)}\n`pointstream stack status` shows what runs."
        ) from error


def _server(cause: BaseException) -> str | None:
    if isinstance(cause, RedisError):
        return "Redis"
    if isinstance(cause, KafkaError):
        return "Kafka"
    return "PostgreSQL" if isinstance(cause, POSTGRES_ERRORS) else None
