"""The faults. Each starts the workers, waits for its moments, strikes, and mends what it broke."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from enum import StrEnum
from types import MappingProxyType

import asyncpg

from deploy.stack import Server
from services.cli.processes import Worker
from shared.stream.topics import SHARES
from tests.fault.proxy import CommitProxy, Cut
from tests.fault.scene import Scene
from tests.fault.waiting import until
from tests.fault.workers import Running

WORKERS = (Worker.EARN, Worker.PUBLISHER, Worker.EXPIRY)

JOINED = {Worker.EARN: " assigned ", Worker.PUBLISHER: " publishing ", Worker.EXPIRY: " watching "}
"""What a worker logs when it has got its part of the work."""

ASSIGNED = " assigned "
"""What a worker logs when it has joined, also where there is nothing left for it."""

FREEZES_MAX = 8

PARTS = {Worker.EARN: 1, Worker.PUBLISHER: SHARES}
"""How often it logs that when it gets all of the work."""


class Fault(StrEnum):
    """What can happen."""

    NONE = "none"
    EARN_KILLED = "earn killed"
    PUBLISHER_KILLED = "publisher killed"
    EXPIRY_KILLED = "expiry killed"
    POSTGRES_KILLED = "PostgreSQL killed"
    REDIS_KILLED = "Redis killed"
    KAFKA_KILLED = "Kafka killed"
    EVERYTHING_KILLED = "anything killed"
    EARN_FROZEN = "earn frozen"
    PUBLISHER_FROZEN = "publisher frozen"
    EXPIRY_FROZEN = "expiry frozen"
    COMMIT_LOST = "COMMIT lost"
    COMMIT_ANSWER_LOST = "COMMIT's answer lost"
    EARN_COMES_AND_GOES = "earn comes and goes"
    PUBLISHER_COMES_AND_GOES = "publisher comes and goes"
    REDIS_FLUSHED = "Redis flushed"
    REDIS_RESTORED = "Redis restored"
    FOREIGN_SNAPSHOT = "foreign snapshot"
    FOREIGN_LOCKS = "foreign locks"
    POSTGRES_AWAY = "PostgreSQL away"
    POSTGRES_FROZEN = "PostgreSQL frozen"


Strike = Callable[[Scene], Awaitable[None]]

REDIS_FORGETS = frozenset(
    {Fault.REDIS_KILLED, Fault.REDIS_FLUSHED, Fault.REDIS_RESTORED, Fault.EVERYTHING_KILLED, Fault.PUBLISHER_KILLED}
)
"""After these, Redis may know nothing of a member until somebody asks. A publisher that is killed before it ever wrote
to Redis leaves it as a flush does."""


async def nothing(scene: Scene) -> None:
    """An undisturbed round."""
    await scene.start(*WORKERS)


def killed(worker: Worker) -> Strike:
    """SIGKILL a worker, up to three times, and start another in its place each time."""

    async def strike(scene: Scene) -> None:
        team = await scene.start(*WORKERS)
        for point in scene.points(scene.chance.randint(1, 3)):
            await _until_reached(scene, worker, point)
            await team[worker].kill()
            scene.told.append(f"after {point}")
            team |= await scene.start(worker)

    return strike


def server_killed(server: Server) -> Strike:
    """SIGKILL a server, once or twice, and start it again."""

    async def strike(scene: Scene) -> None:
        await scene.start(*WORKERS)
        for point in scene.points(scene.chance.randint(1, 2)):
            await (scene.until_cached if server is Server.REDIS else scene.until_posted)(point)
            await scene.servers.kill(server)
            scene.told.append(f"after {point}")
            await scene.servers.start()

    return strike


async def anything_killed(scene: Scene) -> None:
    """SIGKILL workers and servers at the same moments."""
    team = await scene.start(*WORKERS)
    for point in scene.points(2):
        victims = scene.chance.sample([*WORKERS, *Server], scene.chance.randint(2, 4))
        await scene.until_posted(point)
        for victim in victims:
            if isinstance(victim, Worker):
                await team[victim].kill()
            else:
                await scene.servers.kill(victim)
        scene.told.append(f"{', '.join(sorted(victims))} after {point}")
        for victim in victims:
            if isinstance(victim, Worker):
                team |= await scene.start(victim)
        await scene.servers.start()


def frozen(worker: Worker) -> Strike:
    """SIGSTOP a worker until another has all of its work, then SIGCONT: the zombie has to see that it is one."""

    async def strike(scene: Scene) -> None:
        zombie = (await scene.start(*WORKERS, begins=False))[worker]
        other = (await scene.start(worker, begins=False))[worker]
        for one in (zombie, other):
            await one.until_it_says(JOINED[worker])
        scene.begun.set()
        (point,) = scene.points(1)
        await _until_reached(scene, worker, point)
        had = other.says(JOINED[worker])
        inside = await _freeze_inside_a_transaction(scene, zombie)
        scene.told.append(f"after {point}, {'inside' if inside else 'outside'} a transaction")
        if worker is not Worker.EXPIRY:  # any number of them may sweep: there is nothing to take over
            await other.until_it_says(JOINED[worker], had + PARTS[worker])
        await scene.until_held_back()
        await scene.until_cached(await scene.posted())
        woken = zombie.says(JOINED[worker])
        zombie.thaw()
        scene.struck.set()
        if worker is not Worker.EXPIRY:
            await zombie.until_it_says(JOINED[worker], woken + 1)

    return strike


async def _freeze_inside_a_transaction(scene: Scene, zombie: Running) -> bool:
    """Freeze a worker; try for a while to meet it inside a transaction, where a zombie has most to spoil."""
    for _ in range(FREEZES_MAX - 1):
        zombie.freeze()
        if await scene.keeps_a_transaction_open(zombie.worker):
            return True
        zombie.thaw()
        await asyncio.sleep(scene.chance.uniform(0, 0.05))
    zombie.freeze()
    return await scene.keeps_a_transaction_open(zombie.worker)


def commits_cut(*cuts: Cut) -> Strike:
    """Cut connections of the earn and expiry workers at their COMMITs."""

    async def strike(scene: Scene) -> None:
        numbers = sorted(scene.chance.sample(range(1, 50), scene.chance.randint(3, 6)))
        async with CommitProxy(scene.settings.postgres, numbers, cuts, scene.chance) as proxy:
            behind = scene.settings.model_copy(update={"postgres": proxy.address})
            await scene.start(Worker.EARN, Worker.EXPIRY, settings=behind)
            await scene.start(Worker.PUBLISHER)

            async def done() -> bool:
                return proxy.is_done

            await until(done, "all COMMITs that are to be cut have come by")
            scene.told += [f"COMMIT {number} cut {cut}" for number, cut in proxy.done]
            await scene.until_at_rest()

    return strike


def comes_and_goes(worker: Worker) -> Strike:
    """A second and a third worker that join and leave, by SIGTERM or by SIGKILL."""

    async def strike(scene: Scene) -> None:
        await scene.start(*WORKERS)
        guests: list[Running] = []
        for point in scene.points(4):
            await scene.until_posted(point)
            guest = (await scene.start(worker))[worker]
            await guest.until_it_says(ASSIGNED)
            guests.append(guest)
            if len(guests) == 2:
                gone = guests.pop(scene.chance.randrange(2))
                ending = scene.chance.choice((gone.stop, gone.kill))
                await ending()
                scene.told.append(f"{ending.__name__} after {point}")

    return strike


async def redis_flushed(scene: Scene) -> None:
    """FLUSHALL, up to three times."""
    await scene.start(*WORKERS)
    redis = scene.redis()
    for point in scene.points(scene.chance.randint(1, 3)):
        await scene.until_posted(point)
        await redis.flushall()
        scene.told.append(f"after {point}")
    await redis.aclose()


async def redis_restored(scene: Scene) -> None:
    """Redis is killed and comes back with a snapshot of long ago."""
    await scene.start(*WORKERS)
    saved, lost = scene.points(2)
    await scene.until_cached(saved)
    kept = await scene.servers.save_redis()
    await scene.until_cached(lost)
    await scene.servers.kill(Server.REDIS)
    scene.servers.give_redis(kept)
    scene.told.append(f"after {lost} to {saved}")
    await scene.servers.start()


async def foreign_snapshot(scene: Scene) -> None:
    """Somebody else's transaction, which has written, stays open in the same database until everything is out."""
    await scene.start(*WORKERS)
    (point,) = scene.points(1)
    await scene.until_posted(point)
    connection = await asyncpg.connect(scene.settings.database)
    try:
        await connection.execute("CREATE TABLE foreign_work (n int)")
        async with connection.transaction(isolation="repeatable_read"):
            await connection.execute("INSERT INTO foreign_work SELECT count(*) FROM postings")
            scene.told.append(f"from {point} on")
            await scene.until_at_rest()
    finally:
        await connection.close()


async def foreign_locks(scene: Scene) -> None:
    """Somebody else holds rows that the workers need: accounts and a shard's head. They wait, and go on."""
    await scene.start(*WORKERS)
    (point,) = scene.points(1)
    await scene.until_posted(point)
    held_s = scene.chance.uniform(0.5, 4.0)
    connection = await asyncpg.connect(scene.settings.database)
    try:
        async with connection.transaction():
            shard = scene.chance.randrange(8)
            await connection.execute("SELECT * FROM accounts WHERE shard = $1 ORDER BY member_id FOR UPDATE", shard)
            await connection.execute("SELECT * FROM shard_heads WHERE shard = $1 FOR UPDATE", (shard + 1) % 8)
            scene.told.append(f"{held_s:.1f} s from {point} on")
            scene.struck.set()
            watcher = await asyncpg.connect(scene.settings.database)

            async def waited_for() -> bool:
                return bool(
                    await watcher.fetchval(
                        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = $1"
                        " AND clock_timestamp() - query_start > make_interval(secs => $2)",
                        scene.settings.installation,
                        held_s,
                    )
                )

            await until(waited_for, "a worker waits for rows that somebody else holds")
            await watcher.close()
    finally:
        await connection.close()


async def postgres_away(scene: Scene) -> None:
    """PostgreSQL is killed and stays away for a while."""
    await scene.start(*WORKERS)
    (point,) = scene.points(1)
    away_s = scene.chance.choice(scene.outages_s)
    await scene.until_posted(point)
    await scene.servers.kill(Server.POSTGRES)
    scene.told.append(f"{away_s:.0f} s from {point} on")
    await asyncio.sleep(away_s)
    await scene.servers.start()


async def postgres_frozen(scene: Scene) -> None:
    """PostgreSQL takes connections and questions, and answers nothing for a while; workers can be stopped even then."""
    team = await scene.start(*WORKERS)
    (point,) = scene.points(1)
    frozen_s = scene.chance.uniform(1, 2 * scene.outages_s[0])
    stopped = scene.chance.sample(WORKERS, scene.chance.randint(0, 2))
    await scene.until_posted(point)
    with scene.servers.frozen(Server.POSTGRES):
        await asyncio.sleep(frozen_s)
        for worker in stopped:
            await team[worker].stop()
    scene.told.append(f"{frozen_s:.0f} s from {point} on; stopped in it: {', '.join(stopped) or 'none'}")
    await scene.start(*stopped)


async def _until_reached(scene: Scene, worker: Worker, point: int) -> None:
    """A point in the publisher's work is one of what is published, in the others' one of what is posted."""
    await (scene.until_cached if worker is Worker.PUBLISHER else scene.until_posted)(point)


STRIKES: Mapping[Fault, Strike] = MappingProxyType(
    {
        Fault.NONE: nothing,
        Fault.EARN_KILLED: killed(Worker.EARN),
        Fault.PUBLISHER_KILLED: killed(Worker.PUBLISHER),
        Fault.EXPIRY_KILLED: killed(Worker.EXPIRY),
        Fault.POSTGRES_KILLED: server_killed(Server.POSTGRES),
        Fault.REDIS_KILLED: server_killed(Server.REDIS),
        Fault.KAFKA_KILLED: server_killed(Server.KAFKA),
        Fault.EVERYTHING_KILLED: anything_killed,
        Fault.EARN_FROZEN: frozen(Worker.EARN),
        Fault.PUBLISHER_FROZEN: frozen(Worker.PUBLISHER),
        Fault.EXPIRY_FROZEN: frozen(Worker.EXPIRY),
        Fault.COMMIT_LOST: commits_cut(Cut.BEFORE),
        Fault.COMMIT_ANSWER_LOST: commits_cut(Cut.AFTER, Cut.AT_ONCE),
        Fault.EARN_COMES_AND_GOES: comes_and_goes(Worker.EARN),
        Fault.PUBLISHER_COMES_AND_GOES: comes_and_goes(Worker.PUBLISHER),
        Fault.REDIS_FLUSHED: redis_flushed,
        Fault.REDIS_RESTORED: redis_restored,
        Fault.FOREIGN_SNAPSHOT: foreign_snapshot,
        Fault.FOREIGN_LOCKS: foreign_locks,
        Fault.POSTGRES_AWAY: postgres_away,
        Fault.POSTGRES_FROZEN: postgres_frozen,
    }
)
