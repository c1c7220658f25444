"""The expiry worker: what falls due is settled as time passes, also where no event comes along."""

import asyncio
from contextlib import suppress
from math import inf
from time import perf_counter
from typing import NoReturn

import structlog
from aiokafka.errors import KafkaError
from mode import Service

from shared.clock import now_of, wall_clock
from shared.domain.facts import Sweep
from shared.domain.ids import MemberId, Shard
from shared.domain.time import SECOND_US, Instant, rfc3339
from shared.ledger import statements
from shared.ledger.batch import Batch
from shared.ledger.circulation import count_circulation
from shared.ledger.database import CONNECTION_ERRORS, LEDGER_ERRORS, Pool, Role, open_pool
from shared.ledger.installation import Clock, read_installation
from shared.ledger.post import Poster
from shared.ledger.programs import load_programs
from shared.metrics import WATERMARK_LAG
from shared.monitor import OK, Readiness, check_pool, readiness_of
from shared.settings import Settings
from shared.stream.app import STOP_TIMEOUT_S, WorkerService, run_worker
from shared.stream.backoff import Backoff, count_away
from shared.stream.counting import count_batch
from shared.stream.watermark import InputLog, NeverReadError, read_watermark

WORKER = "expiry"

COUNT_EVERY_S = 5.0
"""How old the figure of the points in circulation may be; it is read by people and by charts."""

TELL_AFTER_S = 30.0
"""The first event of an input is read within seconds. Of one that nobody reads for so long the log tells, once."""

log = structlog.get_logger()


def run(settings: Settings) -> NoReturn:
    """Run the worker in the foreground until it is told to stop."""
    run_worker(WORKER, settings, lambda: Expiry(settings))


class Expiry(WorkerService):
    """Settles the accounts whose next due instant the watermark has passed."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self.sweeps = 0
        """How often it has looked how far time has come."""
        self._settings = settings
        self._sweeping = asyncio.Lock()
        self._pool: Pool | None = None
        self._inputs: InputLog | None = None
        self._poster: Poster | None = None
        self._shards = 0
        self._live = True
        self._watermark = OK
        self._unread_since_s = inf

    @Service.task
    async def _expire(self) -> None:
        """Look again and again how far time has come, and settle what it has passed."""
        backoff = Backoff()
        while not self.should_stop:
            try:
                async with self._sweeping:
                    await self._sweep()
            except (*CONNECTION_ERRORS, KafkaError) as error:
                count_away(error)
                wait_s = backoff.next_s()
                log.warning("PostgreSQL or Kafka is away", error=str(error) or repr(error), again_in_s=wait_s)
                await self.sleep(wait_s)
            else:
                self.sweeps += 1
                backoff.succeeded()
                await self.sleep(self._settings.sweep_poll_ms / 1000)

    @Service.task
    async def _count(self) -> None:
        """Keep the points in circulation up to date. A figure that cannot be had does not stop the work."""
        while not self.should_stop:
            if self._pool is not None:
                try:
                    await count_circulation(self._pool)
                except LEDGER_ERRORS as error:
                    log.warning("the points in circulation cannot be counted", error=repr(error))
            await self.sleep(COUNT_EVERY_S)

    async def readiness(self) -> Readiness:
        """Ready when PostgreSQL answers, the inputs' ends can be read from Kafka, and somebody reads all of them."""
        inputs = OK if self._inputs is not None else "Kafka is not there yet"
        ledger = await check_pool(self._pool)
        return readiness_of({"inputs": inputs, "watermark": self._watermark, "ledger": ledger})

    async def on_stop(self) -> None:
        """Finish the transaction that is under way, then leave."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._sweeping.acquire(), STOP_TIMEOUT_S / 2)
        if self._inputs is not None:
            with suppress(KafkaError):
                await self._inputs.close()
        if self._pool is not None:
            self._pool.terminate()
        log.info("stopped", group=self._settings.group(WORKER))

    async def _sweep(self) -> None:
        pool, inputs, poster = await self._open()
        now = await now_of(pool)
        if now is None:
            return
        lateness_us = poster.programs.allowed_lateness_us
        try:
            watermark = await read_watermark(pool, inputs, self._settings, now, lateness_us)
        except NeverReadError as error:
            self._show_no_watermark(str(error))
            return
        self._watermark = OK
        self._show_lag(now, Instant(watermark + lateness_us))
        settled = 0
        for shard in range(self._shards):
            settled += await self._sweep_shard(pool, poster, Shard(shard), watermark)
        if settled:
            log.info("settled", postings=settled, watermark=rfc3339(watermark))

    async def _sweep_shard(self, pool: Pool, poster: Poster, shard: Shard, watermark: Instant) -> int:
        """Settle a shard; how many postings it took. A batch of many shards would wait for one worker's rows while it
        holds another's, and so make them wait for each other."""
        settled = 0
        while not self.should_stop:
            rows = await pool.fetch(statements.FIND_DUE_ACCOUNTS, [shard], watermark, self._settings.sweep_accounts_max)
            if not rows:
                break
            batch = Batch(sweeps=[Sweep(MemberId(row["member_id"]), watermark) for row in rows])
            began_at_s = perf_counter()
            posted = await poster.post(batch)
            count_batch(batch, posted, perf_counter() - began_at_s)
            settled += posted.postings
        return settled

    def _show_no_watermark(self, reason: str) -> None:
        """Nothing falls due until somebody reads that input, and nobody knows how far behind that is."""
        now_s = asyncio.get_running_loop().time()
        if self._watermark == OK:
            self._unread_since_s = now_s
        elif now_s - self._unread_since_s >= TELL_AFTER_S:
            log.warning("nothing is settled", reason=reason)
            self._unread_since_s = inf
        self._watermark = reason
        WATERMARK_LAG.set_function(lambda: inf)

    def _show_lag(self, now: Instant, passed: Instant) -> None:
        """Show how far the inputs are behind. A live lag goes on growing while nobody can look."""
        if self._live:
            WATERMARK_LAG.set_function(lambda: (wall_clock() - passed) / SECOND_US)
        else:
            WATERMARK_LAG.set((now - passed) / SECOND_US)

    async def _open(self) -> tuple[Pool, InputLog, Poster]:
        if self._pool is None:
            self._pool = await open_pool(self._settings.database, Role.WRITER)
        if self._poster is None:
            async with self._pool.acquire() as connection:
                installation = await read_installation(connection)
                self._shards, self._live = installation.shards, installation.clock is Clock.LIVE
                self._poster = Poster(self._pool, await load_programs(connection), installation.shards)
            log.info("watching", group=self._settings.group(WORKER))
        if self._inputs is None:
            inputs = InputLog(self._settings)
            await inputs.open()
            self._inputs = inputs
        return self._pool, self._inputs, self._poster
