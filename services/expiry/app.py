"""The expiry worker: what falls due is settled as time passes, also where no event comes along."""

import asyncio
from contextlib import suppress
from typing import NoReturn

import structlog
from aiokafka.errors import KafkaError
from mode import Service

from shared.clock import now_of
from shared.domain.ids import MemberId, Shard
from shared.domain.model import Sweep
from shared.domain.program import Programs
from shared.domain.time import Instant, rfc3339
from shared.ledger import statements
from shared.ledger.batch import Batch
from shared.ledger.database import CONNECTION_ERRORS, Pool, Role, open_pool
from shared.ledger.installation import load_programs, read_installation
from shared.ledger.post import post
from shared.settings import Settings
from shared.stream.app import STOP_TIMEOUT_S, run_worker
from shared.stream.backoff import Backoff
from shared.stream.watermark import InputLog, read_watermark

WORKER = "expiry"

log = structlog.get_logger()


def run(settings: Settings) -> NoReturn:
    """Run the worker in the foreground until it is told to stop."""
    run_worker(WORKER, settings, lambda: Expiry(settings))


class Expiry(Service):
    """Settles the accounts whose next due instant the watermark has passed."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self.sweeps = 0
        """How often it has looked how far time has come."""
        self._settings = settings
        self._sweeping = asyncio.Lock()
        self._pool: Pool | None = None
        self._inputs: InputLog | None = None
        self._programs: Programs | None = None
        self._shards = 0

    @Service.task
    async def _expire(self) -> None:
        """Look again and again how far time has come, and settle what it has passed."""
        backoff = Backoff()
        while not self.should_stop:
            try:
                async with self._sweeping:
                    await self._sweep()
            except (*CONNECTION_ERRORS, KafkaError) as error:
                wait_s = backoff.next_s()
                log.warning("PostgreSQL or Kafka is away", error=str(error) or repr(error), again_in_s=wait_s)
                await self.sleep(wait_s)
            else:
                self.sweeps += 1
                backoff.succeeded()
                await self.sleep(self._settings.sweep_poll_ms / 1000)

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
        pool, inputs, programs = await self._open()
        now = await now_of(pool)
        if now is None:
            return
        watermark = await read_watermark(pool, inputs, self._settings, now, programs.allowed_lateness_us)
        if watermark is None:
            return
        settled = 0
        for shard in range(self._shards):
            settled += await self._sweep_shard(pool, programs, Shard(shard), watermark)
        if settled:
            log.info("settled", postings=settled, watermark=rfc3339(watermark))

    async def _sweep_shard(self, pool: Pool, programs: Programs, shard: Shard, watermark: Instant) -> int:
        """Settle a shard; how many postings it took. A batch of many shards would wait for one worker's rows while it
        holds another's, and so make them wait for each other."""
        settled = 0
        while not self.should_stop:
            rows = await pool.fetch(statements.FIND_DUE_ACCOUNTS, [shard], watermark, self._settings.sweep_accounts_max)
            if not rows:
                break
            batch = Batch(sweeps=[Sweep(MemberId(row["member_id"]), watermark) for row in rows])
            settled += (await post(pool, batch, programs, self._shards)).postings
        return settled

    async def _open(self) -> tuple[Pool, InputLog, Programs]:
        if self._pool is None:
            self._pool = await open_pool(self._settings.database, Role.WRITER)
        if self._programs is None:
            async with self._pool.acquire() as connection:
                self._shards = (await read_installation(connection)).shards
                self._programs = await load_programs(connection)
            log.info("watching", group=self._settings.group(WORKER))
        if self._inputs is None:
            inputs = InputLog(self._settings)
            await inputs.open()
            self._inputs = inputs
        return self._pool, self._inputs, self._programs
