"""The stand-ins do what the real servers do: both are put through the same random sequences."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from random import Random
from typing import Any

import orjson
import pytest
from redis.asyncio import Redis

from services.earn.app import decoders
from shared.cache import balances
from shared.domain.facts import Sweep
from shared.domain.ids import MemberId
from shared.domain.time import DAY_US, Instant, from_unix_us
from shared.ledger import statements
from shared.ledger.batch import Batch, FencedError, Posted, Progress, arrival_of
from shared.ledger.database import Pool, Role
from shared.ledger.post import post
from shared.ledger.sharding import shard_of
from shared.settings import Settings
from shared.setup import open_ledger
from tests.simulation.kafka import Log, TopicPartition
from tests.simulation.postgres import KEYS
from tests.simulation.postgres import Pool as StandInPool
from tests.simulation.redis import RedisServer
from tests.simulation.sql import HANDLERS, selected
from tests.simulation.system import INPUTS, SETTINGS, SHARDS, System
from tests.simulation.workload import CLIPPING_SCARCE, START_MS, Workload
from tests.simulation.world import Process, World
from tests.support.installing import Make

MEMBERS = ("m0", "m1", "m2")
POSTGRES_SEEDS = (0, 1, 2, 3, 17, 22)
"""Of the sequences; in the last two an appeal makes write-offs good."""
WITHOUT = {"recorded_at", "registered_at", "letter_id", "lease_id", "due_at", "only_row"}
"""What the server, or chance, makes: when, ids, and what follows from other columns."""


@pytest.fixture
async def settings(make_installation: Make) -> Settings:
    return await make_installation(CLIPPING_SCARCE.text, shards=SHARDS)


@pytest.fixture
async def reader(settings: Settings) -> AsyncIterator[Pool]:
    async with open_ledger(settings, Role.READER) as pool:
        yield pool


@pytest.mark.parametrize("seed", range(5))
async def test_redis_and_its_stand_in_agree(settings: Settings, seed: int) -> None:
    random = Random(seed)
    redis = Redis.from_url(settings.redis, protocol=2)
    script = redis.register_script(balances._SCRIPT)
    stand_in = RedisServer(World(0))
    cursor = f"{{{settings.installation}:{seed}}}:position"
    members = [f"{{{settings.installation}:{seed}}}:balance:{member}" for member in MEMBERS]
    try:
        for _ in range(150):
            if random.random() < 0.05:
                await redis.delete(cursor, *members)
                stand_in.flush()
            chosen = random.sample(members, random.randint(0, 3))
            after = random.randint(0, 12)
            arguments: list[Any] = [after, random.choice((-1, after, after + random.randint(0, 5)))]
            for _member in chosen:
                arguments += [
                    random.randint(1, 12),
                    random.choice(("", 10**15)),
                    b'{"points":%d}' % random.randint(0, 9),
                ]
            assert await script(keys=[cursor, *chosen], args=arguments) == stand_in.write([cursor, *chosen], arguments)
            known = await redis.get(cursor)
            assert (None if known is None else int(known)) == stand_in.cursors.get(cursor)
            for member in members:
                found = {name.decode(): value for name, value in (await redis.hgetall(member)).items()}
                assert found == stand_in.hashes.get(member, {})
    finally:
        await redis.delete(cursor, *members)
        await redis.aclose()


@pytest.mark.parametrize("seed", POSTGRES_SEEDS)
async def test_postgres_and_its_stand_in_agree(ledger: Pool, reader: Pool, seed: int) -> None:
    steps = _steps(Random(seed))
    real = [await step(ledger) for step in steps]
    stand_in = _StandIn()
    assert [stand_in.run(step) for step in steps] == real
    assert await _tables(reader) == stand_in.tables()
    for read in _reads():
        assert stand_in.run(read) == await read(ledger)


Step = Callable[[Any], Awaitable[Any]]


class _StandIn:
    """Runs the same coroutines against the stand-in, on its own loop."""

    def __init__(self) -> None:
        self._world = World(1)
        self._system = System(self._world, CLIPPING_SCARCE)
        self._process = Process(self._world, "worker")
        self._pool = StandInPool(self._system.postgres, HANDLERS)

    def run(self, step: Step) -> Any:
        outer = asyncio.get_running_loop()
        asyncio._set_running_loop(None)
        asyncio._set_running_loop(self._world.loop)
        try:
            task = self._world.spawn(self._process, step(self._pool))  # type: ignore[arg-type]
            self._world.loop.run_ready()
            while ready := self._world.ready():
                self._world.carry_out(ready[0])
            return task.result()
        finally:
            asyncio._set_running_loop(outer)

    def tables(self) -> dict[str, list[Any]]:
        tables = self._system.postgres.tables
        return {name: _comparable(tables[name].values()) for name in KEYS}


async def _tables(pool: Pool) -> dict[str, list[Any]]:
    return {name: _comparable(map(dict, await pool.fetch(f"SELECT * FROM {name}"))) for name in KEYS}  # noqa: S608


def _comparable(rows: Any) -> list[Any]:
    """Rows without what the server makes itself, in one order, with JSON as what it says."""
    plain = [{name: _value(name, value) for name, value in row.items() if name not in WITHOUT} for row in rows]
    return sorted([sorted((name, str(value)) for name, value in row.items() if value is not None) for row in plain])


def _value(name: str, value: Any) -> Any:
    return _json(value) if name in ("balances", "lines", "headers") else value


def _json(text: bytes) -> bytes:
    """The same JSON with its keys in one order: of `jsonb` the server chooses it."""
    return orjson.dumps(orjson.loads(text), option=orjson.OPT_SORT_KEYS)


def _steps(random: Random) -> list[Step]:
    """Claims, batches of the right and of older generations, adjustments and appeals, and sweeps."""
    workload = Workload(random, SHARDS)
    workload.refunding = workload.inviting = workload.appealing = True
    partitions = [TopicPartition(topic, number) for topic in INPUTS for number in range(SHARDS)]
    logs = {partition: Log(partition) for partition in partitions}
    generations = dict.fromkeys(partitions, 0)
    read = dict.fromkeys(partitions, 0)
    now_ms = START_MS
    steps: list[Step] = []
    for _ in range(40):
        kind = random.random()
        if kind < 0.2:
            claimed = random.sample(partitions, random.randint(1, len(partitions)))
            for partition in claimed:
                generations[partition] += 1
            steps.append(_claim(claimed))
        elif kind < 0.45:
            seen = dict.fromkeys(MEMBERS, 4)
            steps.append(_post(Batch(events=workload.adjust(seen, _arrival(now_ms)))))
        elif kind < 0.6:
            until = _arrival(now_ms) + random.choice((0, DAY_US, 3 * DAY_US))
            steps.append(_post(Batch(sweeps=[Sweep(MemberId(member), Instant(until)) for member in MEMBERS])))
        else:
            for _message_number in range(random.randint(1, 5)):
                sent = workload.next(now_ms)
                now_ms += sent.after_ms
                logs[TopicPartition(SETTINGS.topic(sent.topic), sent.partition)].append(
                    sent.key, sent.value, (), now_ms
                )
            old = random.random() < 0.15
            owned = {partition: generation - old for partition, generation in generations.items()}
            steps.append(_post(_batch(logs, read, owned)))
    return steps


def _arrival(now_ms: int) -> Instant:
    return from_unix_us(now_ms * 1000)


def _batch(
    logs: dict[TopicPartition, Log], read: dict[TopicPartition, int], generations: dict[TopicPartition, int]
) -> Batch:
    """All that was not read yet."""
    batch = Batch("g")
    decode_of = decoders(SETTINGS)
    for partition, log in logs.items():
        messages: list[Any] = [entry.record for entry in log.entries[read[partition] :]]
        if not messages:
            continue
        read[partition] += len(messages)
        batch.take(messages, decode_of[partition.topic])
        arrived_at = arrival_of(messages[-1])
        batch.progress.append(Progress(*partition, read[partition], generations[partition], arrived_at))
    return batch


def _post(batch: Batch) -> Step:
    async def step(pool: Any) -> Posted | str:
        try:
            return await post(pool, batch, CLIPPING_SCARCE.programs, SHARDS)
        except FencedError as error:
            return str(error)

    return step


def _claim(partitions: list[TopicPartition]) -> Step:
    async def step(pool: Any) -> list[Any]:
        topics, numbers = zip(*partitions, strict=True)
        rows = await pool.fetch(statements.CLAIM_PARTITIONS, "g", topics, numbers)
        return sorted(tuple(row) for row in rows)

    return step


def _reads() -> list[Step]:
    """What the publisher, the expiry worker and readers ask."""
    shards = list(range(SHARDS))
    later = _arrival(START_MS) + 60 * DAY_US

    def fetch(statement: str, *arguments: Any) -> Step:
        columns = (*selected(statements.LOCK_ACCOUNTS), "head") if "AS head" in statement else selected(statement)

        async def step(pool: Any) -> list[Any]:
            rows = await pool.fetch(statement, *arguments)
            found = [
                [_value(name, value) for name, value in zip(columns, row, strict=True) if name not in WITHOUT]
                for row in rows
            ]
            # Of accounts that are due at the same instant, either may come first.
            ordered = "ORDER BY" in statement and statement is not statements.FIND_DUE_ACCOUNTS
            return found if ordered else sorted(found, key=str)

        return step

    return [
        fetch(statements.READ_POSTINGS, shards, [1] * SHARDS, 3),
        fetch(statements.READ_MOVEMENTS, shards, [1] * SHARDS, [4] * SHARDS),
        fetch(statements.READ_OFFSETS, ["g"] * len(INPUTS), list(INPUTS)),
        fetch(statements.FIND_DUE_ACCOUNTS, shards, later, 100),
        *(fetch(statements.READ_ACCOUNT, shard_of(member, SHARDS), member) for member in MEMBERS),
    ]
