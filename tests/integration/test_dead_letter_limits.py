"""Too many bad messages stop a worker before they drain a topic into the dead letters, and it says how to go on."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from services.earn import app as earn
from services.earn.app import ingest
from shared.clock import wall_clock
from shared.ledger import letters
from shared.ledger.batch import Batch, DeadLetter, LetterLimits
from shared.ledger.database import Pool, Role
from shared.ledger.dead_letters import LETTER_HEADER, TooManyDeadLettersError
from shared.ledger.letters import Author
from shared.ledger.post import post
from shared.ledger.programs import load_programs
from shared.settings import ORDER_PAID, Settings
from shared.setup import open_ledger
from shared.stream.ingest import Ingest
from shared.stream.watermark import ends_of
from tests.support.installing import Make
from tests.support.orders import data_of, event_of, message_of
from tests.support.refusing import refusing
from tests.support.running import running, send
from tests.support.unchanging import assert_append_only

Until = Callable[[Callable[[], Awaitable[bool]]], Awaitable[None]]
Keep = Callable[..., Awaitable[None]]

ANN = Author("ann", "a test")
IN_A_ROW = 10
SHARE_OF = 40
"""With a share of 25 %, ten of the last forty may be bad, too."""


@pytest.fixture
async def settings(make_installation: Make) -> Settings:
    made = await make_installation(topics=True, shards=1)
    limits = {
        "dead_letters_in_a_row_max": IN_A_ROW,
        "dead_letters_share_max_percent": 25,
        "dead_letters_share_of_messages": SHARE_OF,
    }
    return made.model_copy(update=limits)


@pytest.fixture
async def ledger(settings: Settings) -> AsyncIterator[Pool]:
    async with open_ledger(settings, Role.READER) as pool:
        yield pool


def good(count: int, start: int = 0) -> list[Any]:
    now = wall_clock()
    return [event_of(data_of(f"o-{number}", f"m-{number % 5}", at=now)) for number in range(start, start + count)]


def bad(count: int) -> list[Any]:
    wrong = event_of(data_of("o-wrong", at=wall_clock()))
    wrong["data"]["paid"] = -1
    return [wrong] * count


async def stopped(worker: Ingest) -> str:
    """Run a worker until it stops by itself; what it says."""
    await worker.start()
    async with asyncio.timeout(30):
        await worker.wait_until_stopped()
    await worker.stop()
    assert isinstance(worker.crash_reason, TooManyDeadLettersError), worker.crash_reason
    return str(worker.crash_reason)


async def standing(ledger: Pool) -> tuple[int, int, int]:
    """How many letters and events are in the ledger, and how far the topic is read."""
    row = await ledger.fetchrow(
        "SELECT (SELECT count(*) FROM dead_letters), (SELECT count(*) FROM consumed_events),"
        " (SELECT coalesce(max(next_offset), 0) FROM consumer_offsets)"
    )
    assert row is not None
    return row[0], row[1], row[2]


def reads_all(ledger: Pool, end: int) -> Callable[[], Awaitable[bool]]:
    async def check() -> bool:
        return (await standing(ledger))[2] == end

    return check


async def test_as_many_as_the_limit_in_a_row_are_kept(settings: Settings, ledger: Pool, until: Until) -> None:
    await send(settings, ORDER_PAID, [*good(3), *bad(IN_A_ROW), *good(3, start=3)])
    async with running(ingest(settings)):
        await until(reads_all(ledger, 16))
    assert await standing(ledger) == (IN_A_ROW, 6, 16)


async def test_one_more_stops_the_worker_before_anything_of_the_batch_is_posted(
    settings: Settings, ledger: Pool
) -> None:
    await send(settings, ORDER_PAID, [*good(3), *bad(IN_A_ROW + 1), *good(3, start=3)])
    said = await stopped(ingest(settings))
    assert await standing(ledger) == (0, 0, 0)
    topic = settings.topic(ORDER_PAID)
    assert f"{topic}/0, offset 13: 11 messages in a row cannot be used, and the limit is 10" in said
    assert "POINTSTREAM_DEAD_LETTERS_IN_A_ROW_MAX" in said
    assert said.count("invalid_field: data.paid: ") == 3, "the first few reasons, not all"
    assert "offset 3: invalid_field: data.paid: Input should be greater than or equal to 0" in said
    assert "pointstream dead-letters accept" in said
    assert "deploy the mended version" in said


@pytest.mark.parametrize("batch_events_max", [1, 4, 2_000])
async def test_a_worker_that_is_started_again_never_gets_past_the_limit(
    settings: Settings, ledger: Pool, batch_events_max: int
) -> None:
    """Small batches post what is below the limit; then the message that is one too many stands, start after start."""
    await send(settings, ORDER_PAID, [*good(3), *bad(5 * IN_A_ROW)])
    small = settings.model_copy(update={"batch_events_max": batch_events_max})
    await stopped(ingest(small))
    after_first = await standing(ledger)
    assert after_first[0] <= IN_A_ROW
    for _ in range(2):
        await stopped(ingest(settings))
        await stopped(ingest(small))
    letters_kept, _, next_offset = await standing(ledger)
    assert letters_kept <= IN_A_ROW
    assert next_offset <= 3 + IN_A_ROW


async def test_two_workers_stop_at_the_same_message(make_installation: Make, until: Until) -> None:
    settings = (await make_installation(topics=True)).model_copy(update={"dead_letters_in_a_row_max": IN_A_ROW})
    async with open_ledger(settings, Role.READER) as ledger:
        workers = [ingest(settings), ingest(settings)]

        async def both_own() -> bool:
            return all(worker.claim.positions for worker in workers)

        async with asyncio.TaskGroup() as tasks:
            for worker in workers:
                tasks.create_task(stopped(worker))
            await until(both_own)
            await send(settings, ORDER_PAID, bad(5 * IN_A_ROW))
        assert await ledger.fetchval("SELECT count(*) FROM dead_letters") <= IN_A_ROW


async def test_bad_ones_among_good_ones_are_seen_by_their_share(settings: Settings, ledger: Pool) -> None:
    """Every third message is bad: the tenth of them is the 30th message, the eleventh is one too many."""
    mixed = [message for number in range(15) for message in (*good(2, start=2 * number), *bad(1))]
    await send(settings, ORDER_PAID, mixed)
    one_by_one = settings.model_copy(update={"batch_events_max": 1})
    said = await stopped(ingest(one_by_one))
    assert await standing(ledger) == (10, 22, 32)
    assert "offset 32: 11 of the last 40 messages cannot be used, and the limit is 25 %" in said
    assert "POINTSTREAM_DEAD_LETTERS_SHARE_MAX_PERCENT" in said
    await stopped(ingest(settings))
    assert await standing(ledger) == (10, 22, 32)


async def test_rare_ones_never_stop_a_worker(settings: Settings, ledger: Pool, until: Until) -> None:
    mixed = [message for number in range(30) for message in (*good(4, start=4 * number), *bad(1))]
    await send(settings, ORDER_PAID, mixed)
    async with running(ingest(settings)):
        await until(reads_all(ledger, 150))
    assert await standing(ledger) == (30, 120, 150)


async def test_used_ids_count_as_bad_too(settings: Settings, ledger: Pool) -> None:
    """A shop that starts its ids over sends events that can all be read, and that would all become dead letters."""
    again = [event_of(data_of(f"new-{number}", at=wall_clock()), f"o-{number}") for number in range(IN_A_ROW + 1)]
    await send(settings, ORDER_PAID, [*good(IN_A_ROW + 1), *again])
    said = await stopped(ingest(settings))
    assert "conflicting_duplicate: id" in said
    assert await standing(ledger) == (0, 0, 0)


async def test_after_a_mended_deploy_a_worker_goes_on_by_itself(settings: Settings, ledger: Pool, until: Until) -> None:
    broken = refusing("data", "The reader is broken.")

    await send(settings, ORDER_PAID, good(30))
    await stopped(Ingest(earn.WORKER, {settings.topic(ORDER_PAID): broken}, settings))
    async with running(ingest(settings)):
        await until(reads_all(ledger, 30))
    assert await standing(ledger) == (0, 30, 30)


async def test_what_was_accepted_becomes_letters_and_what_comes_later_counts(
    settings: Settings, ledger: Pool, until: Until
) -> None:
    await send(settings, ORDER_PAID, [*bad(30), *good(2)])
    await stopped(ingest(settings))
    topic = settings.topic(ORDER_PAID)
    async with open_ledger(settings, Role.OPERATOR) as operator:
        await letters.accept(operator, topic, await ends_of(settings, topic), ANN)
    async with running(ingest(settings)):
        await until(reads_all(ledger, 32))
    assert await standing(ledger) == (30, 2, 32)
    await send(settings, ORDER_PAID, bad(IN_A_ROW + 1))
    await stopped(ingest(settings))
    assert (await standing(ledger))[0] <= 30 + IN_A_ROW
    accepted = await ledger.fetchrow("SELECT until_offset, actor, why FROM dead_letter_acceptances")
    assert accepted is not None
    assert tuple(accepted) == (32, "ann", "a test")


async def test_a_message_that_only_says_it_is_a_replay_counts(settings: Settings, ledger: Pool) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=settings.kafka)
    await producer.start()
    for number in range(IN_A_ROW + 1):
        headers = [(LETTER_HEADER, str(number).encode()), (LETTER_HEADER, b"\xff" * 30)]
        await producer.send(settings.topic(ORDER_PAID), b"no event", headers=headers)
    await producer.stop()
    await stopped(ingest(settings))
    assert await standing(ledger) == (0, 0, 0)


async def test_a_log_that_is_read_again_gives_no_letter_twice_and_one_made_anew_gives_its_own(
    settings: Settings, ledger: Pool, until: Until
) -> None:
    """The offsets of both begin at 0. What tells them apart is when their messages arrived."""
    await send(settings, ORDER_PAID, [b"first", *good(1)])
    async with running(ingest(settings)):
        await until(reads_all(ledger, 2))
    async with open_ledger(settings, Role.WRITER) as writer:
        await writer.execute("UPDATE consumer_offsets SET next_offset = 0")
    async with running(ingest(settings)):
        await until(reads_all(ledger, 2))
    assert await standing(ledger) == (1, 1, 2)
    with_other_log = await ledger.fetchval("SELECT arrived_at FROM dead_letters")
    async with open_ledger(settings, Role.WRITER) as writer:
        await writer.execute(
            'INSERT INTO dead_letters (topic, partition, "offset", arrived_at, headers, defect, path, reason)'
            ' SELECT topic, partition, "offset", $1, headers, defect, path, reason FROM dead_letters',
            with_other_log + 1_000_000,
        )
    assert (await standing(ledger))[0] == 2


async def test_the_process_ends_with_an_error_and_says_why_on_standard_error(settings: Settings) -> None:
    await send(settings, ORDER_PAID, bad(IN_A_ROW + 1))
    names = ("kafka", "postgres", "redis", "installation", "dead_letters_in_a_row_max")
    environment = {f"POINTSTREAM_{name.upper()}": str(getattr(settings, name)) for name in names}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "services.cli.main",
        "run",
        "earn",
        env={**os.environ, **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        output, _ = await asyncio.wait_for(process.communicate(), 60)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode != 0
    text = output.decode()
    assert "11 messages in a row cannot be used, and the limit is 10" in text
    assert "pointstream dead-letters accept" in text


TIGHT = LetterLimits(in_a_row_max=2, share_max_percent=50, share_of_messages=6)
"""Two in a row, and three of six."""


@pytest.fixture
async def keep(settings: Settings) -> AsyncIterator[Keep]:
    """Posts a batch that has letters at some offsets of a partition, and good events between them."""
    async with open_ledger(settings, Role.WRITER) as writer:
        programs = await load_programs(writer)

        async def post_letters(*offsets: int, limits: LetterLimits = TIGHT, partitions: Sequence[int] = (0,)) -> None:
            found = [
                DeadLetter(message_of(b"x", offset, partition=partition), "not_json", "value", "It is no JSON.")
                for partition in partitions
                for offset in offsets
            ]
            await post(writer, Batch(dead_letters=found, limits=limits), programs, 1)

        yield post_letters


async def refused(keeping: Awaitable[None]) -> str:
    with pytest.raises(TooManyDeadLettersError) as caught:
        await keeping
    return str(caught.value).splitlines()[0]


async def test_letters_in_a_row_are_counted_over_batches_and_a_good_one_ends_the_row(keep: Keep) -> None:
    await keep(0)
    await keep(1)
    assert "orders/0, offset 2: 3 messages in a row" in await refused(keep(2))
    await keep(3)


async def test_a_row_is_counted_though_it_is_longer_than_what_the_share_looks_at(keep: Keep) -> None:
    """All of the last two may be bad, but no more than five in a row."""
    long = LetterLimits(in_a_row_max=5, share_max_percent=100, share_of_messages=2)
    for offset in range(5):
        await keep(offset, limits=long)
    assert "offset 5: 6 messages in a row" in await refused(keep(5, limits=long))


async def test_a_share_is_that_of_the_last_messages_and_of_no_more(keep: Keep) -> None:
    """The six messages up to offset 5 have 0, 2, 4 and 5; those up to 6 have 2, 4 and 6."""
    await keep(0, 2)
    assert "offset 5: 4 of the last 6 messages" in await refused(keep(4, 5))
    await keep(4)
    assert "offset 5: 4 of the last 6 messages" in await refused(keep(5))
    await keep(6)


async def test_a_message_that_has_left_the_last_ones_counts_no_more_in_the_same_batch(keep: Keep) -> None:
    await keep(0, 2)
    await keep(4, 6)


async def test_a_part_of_a_message_is_none(keep: Keep) -> None:
    """25 % of six are one and a half: one may be bad."""
    quarter = LetterLimits(in_a_row_max=2, share_max_percent=25, share_of_messages=6)
    await keep(0, limits=quarter)
    assert "offset 5: 2 of the last 6 messages" in await refused(keep(5, limits=quarter))
    await keep(6, limits=quarter)


async def test_one_too_many_in_the_middle_of_a_batch_is_found(keep: Keep) -> None:
    assert "offset 3: 3 messages in a row" in await refused(keep(1, 2, 3, 20))


async def test_each_partition_has_rows_and_a_share_of_its_own(keep: Keep) -> None:
    await keep(0, 1, 3, partitions=(0, 1, 2))
    assert "orders/1, offset 4: 4 of the last 6 messages" in await refused(keep(4, partitions=(1,)))


async def test_what_was_kept_under_looser_limits_stops_nobody_later(keep: Keep) -> None:
    await keep(0, 1, 2, 3, limits=LetterLimits(10, 100, 10))
    await keep(7)


async def test_an_acceptance_ends_before_its_offset_and_is_for_its_partition_alone(
    settings: Settings, keep: Keep
) -> None:
    async with open_ledger(settings, Role.OPERATOR) as operator:
        await letters.accept(operator, "refunds", {0: 99}, ANN)
        await letters.accept(operator, "orders", {1: 99}, ANN)
        assert "orders/0, offset 2: " in await refused(keep(0, 1, 2))
        await letters.accept(operator, "orders", {0: 3}, ANN)
        await letters.accept(operator, "orders", {0: 1}, ANN)
    await keep(0, 1, 2)
    await keep(3, 4)
    assert "orders/0, offset 5: 3 messages in a row" in await refused(keep(5))


@pytest.mark.parametrize("table", ["dead_letters", "dead_letter_actions", "dead_letter_acceptances"])
@pytest.mark.parametrize("change", ["DELETE FROM {}", "UPDATE {} SET recorded_at = now()", "TRUNCATE {} CASCADE"])
async def test_nobody_changes_a_letter_or_what_was_done_with_it(settings: Settings, table: str, change: str) -> None:
    await assert_append_only(settings, (Role.WRITER, Role.PUBLISHER, Role.READER, Role.OPERATOR), change.format(table))


async def test_an_operator_writes_nothing_but_what_was_done_with_letters(settings: Settings) -> None:
    async with open_ledger(settings, Role.OPERATOR) as pool:
        await pool.execute("INSERT INTO dead_letter_acceptances VALUES ('t', 0, 1, 'ann', 'why')")
        tables = await pool.fetch(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
            " AND has_table_privilege(current_user, quote_ident(table_name), 'INSERT, UPDATE, DELETE, TRUNCATE')"
        )
    assert {row["table_name"] for row in tables} == {"dead_letter_actions", "dead_letter_acceptances"}
