"""`pointstream replay`: a year of real shopping baskets goes through Kafka and is followed to the end."""

import asyncio
import time
from datetime import date, datetime
from pathlib import Path
from typing import Annotated

import asyncpg
import typer
from aiokafka import TopicPartition
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from deploy import stack
from services.cli import report
from services.cli.config import errors, fail, load_settings
from services.cli.follow import LOOK_EVERY_S, Follower, Standing
from services.cli.interrupting import INTERRUPTED
from services.cli.processes import Worker, WorkerEndedError, running
from services.cli.run import prepare, until_signal
from services.cli.sending import Sender, bulk_producer
from services.cli.turns import Turns
from services.cli.verify.run import UnreachableError
from shared.contracts import order_paid, refund
from shared.contracts.inbound import BY_TYPE
from shared.contracts.program import ProgramDocument, ProgramError, read_program
from shared.domain.time import Instant, rfc3339
from shared.ledger import statements
from shared.ledger.database import Role
from shared.ledger.installation import Clock, InstallationError, set_replay_now
from shared.metrics import Process
from shared.settings import Settings
from shared.setup import SHARDS, open_ledger
from shared.stream.topics import INPUTS

INSTALLATION = "demo"
PROGRAM = Path("programs/loyalty-card.yaml")
SHOW_END_S = 2.0
"""How long a last look at the standing may take, also after Ctrl-C."""

LOOK_EVERY_EVENTS = 4_000
"""How often events that wait for others of their member are looked after, and the replay's clock is moved on to what
the brokers have. Each time sends batches that are not full: at 1,000 the replay takes an eighth more."""
UNREAD_MAX = 12_000
"""How far the log may be ahead of the earn worker: enough that it never waits, and that few events have to."""
PAUSE_S = 0.05

SWEEP_POLL_MS = 2_000
"""In a replay a week passes in a second, and most of what falls due is settled by the next order of its member."""

SENT = (order_paid.TYPE, refund.TYPE)
"""The types of the events that are sent."""

WORKERS = [Worker.EARN, Worker.PUBLISHER, Worker.EXPIRY]

First = Annotated[
    datetime | None, typer.Option("--from", formats=["%Y-%m-%d"], help="The first day (UTC); all unless given.")
]
Last = Annotated[datetime | None, typer.Option("--to", formats=["%Y-%m-%d"], help="The last day (UTC).")]


def replay(
    first: First = None,
    last: Last = None,
    program: Annotated[Path, typer.Option("--program", help="The program to decide by.")] = PROGRAM,
    installation: Annotated[str, typer.Option("--installation", help="Where the points go.")] = INSTALLATION,
    as_json: Annotated[bool, typer.Option("--json", help="The report as JSON.")] = False,
) -> None:
    """Replay real shopping baskets of 2017 as order-paid events, with simulated returns, and report what they came to.

    The events carry their own time, and time passes with them: points expire within the year as they would have.
    Running it again changes nothing.
    """
    try:
        document, _ = read_program(program)
        stack.up(stack.home(), lambda line: errors.print(line, highlight=False))
        settings = load_settings(installation=installation, program=program).model_copy(
            # On free ports: the workers of another installation may have the usual ones.
            update={"sweep_poll_ms": SWEEP_POLL_MS, **{f"{process}_metrics_port": 0 for process in Process}}
        )
        prepare(settings, Clock.REPLAY)
        found: list[report.Report] = []

        async def work() -> None:
            found.append(await _replay(settings, document, _date(first), _date(last)))

        asyncio.run(until_signal(work()))
    except (ProgramError, InstallationError, WorkerEndedError, UnreachableError, stack.StackError) as error:
        fail(str(error))
    if not found:
        errors.print("Stopped. What was posted stays; run it again to go on where it is.")
        raise typer.Exit(INTERRUPTED)
    if as_json:
        typer.echo(report.as_json(found[0]))
    else:
        report.show(found[0])
    if found[0].differences:
        raise typer.Exit(1)


def _date(moment: datetime | None) -> date | None:
    return None if moment is None else moment.date()


async def _replay(
    settings: Settings, document: ProgramDocument, first: date | None, last: date | None
) -> report.Report:
    started_s = time.monotonic()
    async with (
        running(WORKERS, settings, log_level="warning") as children,
        Follower(settings, SHARDS) as follower,
        open_ledger(settings, Role.WRITER) as pool,
    ):
        before = await follower.look()
        passing = asyncio.create_task(_pass(settings, document, pool, follower, before, first, last))
        watching = asyncio.create_task(children.until_one_ends())
        try:
            await asyncio.wait({passing, watching}, return_when=asyncio.FIRST_COMPLETED)
            if watching.done():
                await watching
            sent, now = await passing
        finally:
            passing.cancel()
            watching.cancel()
        after = await follower.look()
    return await report.make(
        settings,
        document.to_domain(),
        report.Run(sent, after.postings - before.postings, time.monotonic() - started_s, now),
    )


async def _pass(
    settings: Settings,
    document: ProgramDocument,
    pool: asyncpg.Pool,
    follower: Follower,
    before: Standing,
    first: date | None,
    last: date | None,
) -> tuple[int, Instant]:
    """Send everything and wait until it has come out; returns how much was sent, and the replay's last instant."""
    columns = (
        TextColumn("{task.description:9}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[note]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=errors) as progress:
        sending = progress.add_task("sent", total=None, note="reading the baskets")
        bars = [progress.add_task(name, total=None, note="") for name in ("posted", "published")]
        done = asyncio.Event()
        showing = asyncio.create_task(_show(progress, bars, follower, before, done))
        try:
            sent, last_arrival = await _send(settings, pool, progress, sending, follower, first, last)
            now = _end(document, last_arrival)
            await _set_clock(pool, now)
            await follower.until_done(Instant(now - document.allowed_lateness))
        finally:
            # Told to end as well: Kafka's client may swallow the cancellation, and the task would outlive the follower.
            done.set()
            showing.cancel()
            await asyncio.wait({showing}, timeout=SHOW_END_S)
        _update(progress, bars, await follower.look(), before, 0.0)
    return sent, now


async def _send(
    settings: Settings,
    pool: asyncpg.Pool,
    progress: Progress,
    bar: TaskID,
    follower: Follower,
    first: date | None,
    last: date | None,
) -> tuple[int, Instant]:
    # Here, because the table libraries take a second to load, and no other command needs them.
    from services.cli.baskets import BASKETS, read_baskets  # noqa: PLC0415
    from services.cli.returns import with_returns  # noqa: PLC0415

    producer = bulk_producer(settings.kafka)
    await producer.start()
    try:
        senders = {name: Sender(producer, settings.topic(BY_TYPE[name].topic), SHARDS) for name in SENT}
        turns = Turns(senders, await follower.ends())
        events = with_returns(await asyncio.to_thread(read_baskets, first, last))
        progress.update(bar, total=BASKETS if first is None and last is None else None, note="")
        now: Instant | None = None
        for handed_in, event in enumerate(events, 1):
            now = event.arrived_at
            await turns.send(event)
            if handed_in % LOOK_EVERY_EVENTS == 0:
                await turns.take_turns(await _read(pool, settings))
                while turns.unread > UNREAD_MAX:
                    await asyncio.sleep(PAUSE_S)
                    await turns.take_turns(await _read(pool, settings))
                await turns.flush()
                await _set_clock(pool, turns.passed(now))
                progress.update(bar, completed=senders[order_paid.TYPE].sent, note=rfc3339(now)[:10])
        if now is None:
            raise InstallationError("there are no baskets between these days; the data are of 2017")
        await turns.take_turns(await _read(pool, settings))
        while not turns.in_order:
            await asyncio.sleep(PAUSE_S)
            await turns.take_turns(await _read(pool, settings))
        await turns.flush()
    finally:
        await producer.stop()
    progress.update(bar, completed=turns.sent, total=turns.sent, note=rfc3339(now)[:10])
    return turns.sent, now


async def _read(pool: asyncpg.Pool, settings: Settings) -> dict[TopicPartition, int]:
    """How far each partition of the inputs was read."""
    groups = [settings.group(worker) for worker in INPUTS.values()]
    rows = await pool.fetch(statements.READ_OFFSETS, groups, [settings.topic(name) for name in INPUTS])
    return {TopicPartition(row["topic"], row["partition"]): row["next_offset"] for row in rows}


async def _set_clock(pool: asyncpg.Pool, now: Instant) -> None:
    async with pool.acquire() as connection:
        await set_replay_now(connection, now)


def _end(document: ProgramDocument, last_arrival: Instant) -> Instant:
    """When the replay's time stops: when the last order's local day is over, also for events that come late."""
    calendar = document.to_domain().calendar
    return Instant(calendar.end_of(calendar.day_of(last_arrival)) + document.allowed_lateness)


async def _show(
    progress: Progress, bars: list[TaskID], follower: Follower, before: Standing, done: asyncio.Event
) -> None:
    last = before
    at_s = time.monotonic()
    while not done.is_set():
        await asyncio.sleep(LOOK_EVERY_S)
        standing = await follower.look()
        now_s = time.monotonic()
        rate = (standing.read - last.read) / (now_s - at_s)
        last, at_s = standing, now_s
        _update(progress, bars, standing, before, rate)


def _update(progress: Progress, bars: list[TaskID], standing: Standing, before: Standing, rate: float) -> None:
    posted, published = bars
    lag = standing.events - standing.read
    progress.update(
        posted,
        completed=standing.read - before.read,
        total=standing.events - before.read,
        note=f"{rate:,.0f} events/s, lag {lag:,}" if lag else "",
    )
    progress.update(
        published,
        completed=min(standing.published, standing.cached) - before.published,
        total=standing.postings - before.published,
    )
