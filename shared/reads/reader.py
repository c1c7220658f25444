"""Reading balances and statements: Redis first, PostgreSQL where Redis cannot tell. For the API and for people."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, tzinfo
from enum import StrEnum
from time import perf_counter
from types import MappingProxyType

import asyncpg
import orjson
import structlog

from shared.cache.balances import CACHE_ERRORS, BalanceCache, CachedBalance
from shared.clock import now_of, wall_clock
from shared.contracts.program import ProgramError
from shared.domain.ids import MemberId
from shared.domain.model import Balances, Bucket
from shared.domain.program import Programs
from shared.domain.settle import settle
from shared.domain.time import EPOCH, Instant
from shared.ledger.database import CONNECTION_ERRORS, LEDGER_ERRORS, Connection, Pool, Role, open_pool
from shared.ledger.installation import Clock, Installation, InstallationError, read_installation
from shared.ledger.programs import load_programs
from shared.ledger.read import BEFORE_NOTHING, StatementEntry, read_statement
from shared.ledger.rows import dump_balances
from shared.ledger.state import ReadAccount, read_account
from shared.metrics import CACHE_READS, POOL_WAIT, RECONNECTS, CacheRead, Server
from shared.settings import Settings

CONNECTIONS_MAX = 8
"""A read holds one for some tenths of a millisecond; more would only take from the workers."""

LEDGER_WAIT_S = 2.0
"""A reader is told that PostgreSQL is away rather than kept waiting for longer. To give up a connection on which the
server hangs takes as long again."""

CACHE_WAIT_S = 0.25
"""A cache that takes longer is no help; a reader goes to PostgreSQL instead."""

CACHE_REST_S = 1.0
"""After a failure, Redis is left alone for so long: reads of an outage must not each wait for it."""

PROGRAMS_READ_EVERY_S = 20.0
"""How soon a new version of the program is known to readers: well before anything can fall under it (`LEAD_US`)."""

REPLAY_CLOCK_S = 1.0
"""A replay's clock is read again at most this often."""


_LEDGER_ERRORS: tuple[type[BaseException], ...] = (*CONNECTION_ERRORS, asyncpg.InvalidCatalogNameError)
"""What says that PostgreSQL is away, or came back without this installation's database."""


log = structlog.get_logger()

_EMPTY: Mapping[Bucket, int] = MappingProxyType({})

_HITS, _MISSES, _DUE, _AWAY = (
    CACHE_READS.labels(result) for result in (CacheRead.HIT, CacheRead.MISS, CacheRead.DUE, CacheRead.AWAY)
)


class Source(StrEnum):
    """Where a balance was read."""

    CACHE = "cache"
    LEDGER = "ledger"


@dataclass(slots=True, frozen=True)
class MemberBalance:
    """A member's balances with all that fell due by `as_of`, in every wallet of the program in force then.

    `version` is that of the newest posting they contain; what fell due since and nobody has posted yet is counted, but
    has no version. `next_due_at` is when something falls due next.
    """

    member_id: MemberId
    version: int
    as_of: Instant
    next_due_at: Instant | None
    balances: Balances
    source: Source


class LedgerAwayError(Exception):
    """PostgreSQL is needed for the answer and does not give one. The message says what happened."""


_UNLEARNED: tuple[type[BaseException], ...] = (LedgerAwayError, *LEDGER_ERRORS, InstallationError, ProgramError)
"""What may pass, or be mended while a reader runs: it goes on with the versions that it knows."""


class Reader:
    """Reads one installation. Every read raises `LedgerAwayError` when it needs PostgreSQL and PostgreSQL is away."""

    def __init__(
        self,
        pool: Pool,
        cache: BalanceCache,
        installation: Installation,
        programs: Programs,
        clock: Callable[[], Instant],
    ) -> None:
        self.programs = programs
        self._pool = pool
        self._cache = cache
        self.shards = installation.shards
        self._live = installation.clock is Clock.LIVE
        self._clock = clock
        self._replay_now = installation.replay_now
        self._replay_read_s = -REPLAY_CLOCK_S
        self._cache_away_until_s = 0.0
        self._learning = asyncio.create_task(self._learn_programs())

    async def balance(self, member_id: MemberId) -> MemberBalance | None:
        """A member's balances as of now; None for a member that nobody knows."""
        now = self._clock() if self._live else await self._replay_time()
        cached = await self._read_cache(member_id)
        # A replay that has not begun has no now; only the ledger knows how far the account itself has come.
        if now is not None and cached is not None and (cached.next_due_at is None or now < cached.next_due_at):
            _HITS.inc()
            balances = self.all_wallets(orjson.loads(cached.balances), now)
            return MemberBalance(member_id, cached.version, now, cached.next_due_at, balances, Source.CACHE)
        if cached is not None:
            _DUE.inc()
        read = await self._read_ledger(member_id, now)
        if read is None:
            return None
        account = read.account
        if cached is None or cached.version < account.version:
            await self._refill(read)
        as_of = account.settled_to if now is None else now
        settled, _ = settle(account, as_of, self.programs)
        balances = self.all_wallets(settled.balances, as_of)
        return MemberBalance(member_id, account.version, as_of, settled.next_due_at, balances, Source.LEDGER)

    async def statement(
        self, member_id: MemberId, limit: int, before: int = BEFORE_NOTHING
    ) -> list[StatementEntry] | None:
        """A member's newest `limit` postings with a version below `before`, newest first; None for an unknown member.

        It is the journal: what fell due and is not posted yet does not stand in it.
        """
        async with self._ledger() as connection:
            entries = await read_statement(connection, member_id, before, limit, self.shards)
            if entries or await read_account(connection, member_id, EPOCH, self.shards) is not None:
                return entries
        return None

    @asynccontextmanager
    async def picture(self) -> AsyncIterator[tuple[Connection, Instant | None]]:
        """A connection whose statements all see the ledger as it is at one moment, and write nothing; and the time that
        the installation lives in, None for a replay that has not begun."""
        now = self._clock() if self._live else await self._replay_time()
        async with (
            self._ledger() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            yield connection, now

    @property
    def zone(self) -> tzinfo:
        """The zone of the program in force, in which people are told times; UTC before the first version."""
        program = self.programs.in_force(self._clock())
        return UTC if program is None else program.calendar.zone

    async def check_ledger(self) -> None:
        """Return when PostgreSQL answers with the installation's tables in it."""
        async with self._ledger() as connection:
            await read_installation(connection)

    async def cache_answers(self) -> bool:
        """Whether Redis answers."""
        try:
            await self._cache.ping()
        except CACHE_ERRORS:
            return False
        return True

    async def close(self) -> None:
        """Give the connections back."""
        self._learning.cancel()
        self._pool.terminate()
        await self._cache.close()

    async def _learn_programs(self) -> None:
        """Keep up with the versions of the program. In an outage, or with a version that cannot be read, those known
        stay."""
        while True:
            await asyncio.sleep(PROGRAMS_READ_EVERY_S)
            try:
                async with self._ledger() as connection:
                    self.programs = await load_programs(connection)
            except _UNLEARNED as error:
                log.warning("the program's versions could not be read; those known stay", error=repr(error))

    async def _replay_time(self) -> Instant | None:
        """How far the replay has come, as it was a moment ago. It stands still where PostgreSQL is away: so do the
        workers."""
        time_s = asyncio.get_running_loop().time()
        if time_s - self._replay_read_s >= REPLAY_CLOCK_S:
            self._replay_read_s = time_s
            try:
                async with self._ledger() as connection:
                    self._replay_now = await now_of(connection)
            except LedgerAwayError:
                if self._replay_now is None:
                    raise
        return self._replay_now

    async def _read_cache(self, member_id: MemberId) -> CachedBalance | None:
        """What Redis has of a member; None also where it is away."""
        if not self._cache_is_worth_asking():
            _AWAY.inc()
            return None
        try:
            cached = await self._cache.read(member_id)
        except CACHE_ERRORS:
            _AWAY.inc()
            self._rest_cache()
            return None
        if cached is None:
            _MISSES.inc()
        return cached

    async def _refill(self, read: ReadAccount) -> None:
        """Put into Redis what the ledger says, unsettled: a reader who comes later settles it for its own now."""
        account = read.account
        if not self._cache_is_worth_asking():
            return
        balance = CachedBalance(
            account.member_id, account.version, account.next_due_at, dump_balances(account.balances)
        )
        try:
            await self._cache.refill(balance, read.position)
        except CACHE_ERRORS:
            self._rest_cache()

    def _cache_is_worth_asking(self) -> bool:
        return asyncio.get_running_loop().time() >= self._cache_away_until_s

    def _rest_cache(self) -> None:
        RECONNECTS.labels(Server.REDIS).inc()
        self._cache_away_until_s = asyncio.get_running_loop().time() + CACHE_REST_S

    async def _read_ledger(self, member_id: MemberId, now: Instant | None) -> ReadAccount | None:
        """The account as it is stored, with what is due by now."""
        async with self._ledger() as connection:
            read = await read_account(connection, member_id, EPOCH, self.shards)
            if read is None or now is None or read.account.next_due_at is None or read.account.next_due_at > now:
                return read
            # Account, lots and debts are three statements: a worker that settles it in between must not be seen by some
            # of them only.
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                return await read_account(connection, member_id, now, self.shards)

    @asynccontextmanager
    async def _ledger(self) -> AsyncIterator[Connection]:
        asked_at_s = perf_counter()
        try:
            async with asyncio.timeout(LEDGER_WAIT_S), self._pool.acquire(timeout=LEDGER_WAIT_S) as connection:
                POOL_WAIT.observe(perf_counter() - asked_at_s)
                yield connection
        except _LEDGER_ERRORS as error:
            RECONNECTS.labels(Server.POSTGRESQL).inc()
            raise LedgerAwayError(f"PostgreSQL is away: {str(error) or repr(error)}") from error

    def all_wallets(self, balances: Balances, as_of: Instant) -> Balances:
        """With every wallet of the program in force, in the program's order, and those of older versions after them."""
        program = self.programs.in_force(as_of)
        return balances if program is None else {**dict.fromkeys(program.wallets, _EMPTY), **balances}


async def open_reader(settings: Settings, clock: Callable[[], Instant] = wall_clock) -> Reader:
    """A reader of the installation that `settings` name; `clock` tells the time of a live one.

    PostgreSQL is needed for it, Redis is not. Raises connection errors as they come, and `InstallationError` where
    there is no installation yet. Versions of the program that are registered later are learned within some seconds.
    """
    pool = await open_pool(settings.database, Role.READER, max_size=CONNECTIONS_MAX)
    try:
        async with pool.acquire() as connection:
            installation = await read_installation(connection)
            programs = await load_programs(connection)
    except BaseException:
        pool.terminate()
        raise
    cache = BalanceCache(settings.redis, settings.installation, installation.shards, CACHE_WAIT_S)
    return Reader(pool, cache, installation, programs, clock)
