"""`pointstream dead-letters`: a letter is found, mended, replayed the way it came, and can be traced both ways."""

import asyncio
import getpass
import json
from base64 import b64decode
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from typer.testing import CliRunner, Result

from services.cli.dead_letters import app
from services.earn import app as earn
from services.earn.app import ingest
from shared.clock import wall_clock
from shared.domain.time import unix_ms
from shared.ledger import letters
from shared.ledger.batch import Consumed, read
from shared.ledger.database import Pool, Role
from shared.ledger.letters import Author, RefusedError, Replayed, State
from shared.settings import ORDER_PAID, Settings
from shared.setup import open_ledger
from shared.stream.ingest import Ingest
from shared.stream.resend import Resender
from tests.support.installing import Make, show_to_commands
from tests.support.orders import SOURCE, data_of, event_of
from tests.support.refusing import refusing
from tests.support.running import running, send

Until = Callable[[Callable[[], Awaitable[bool]]], Awaitable[None]]

ANN = Author("ann", "a test")


@pytest.fixture
async def settings(make_installation: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Settings:
    made = await make_installation(topics=True, shards=1)
    show_to_commands(made, monkeypatch, tmp_path)
    return made


@pytest.fixture
async def operator(settings: Settings) -> AsyncIterator[Pool]:
    async with open_ledger(settings, Role.OPERATOR) as pool:
        yield pool


async def command(*arguments: str, stdin: bytes | None = None) -> Result:
    """Run the command as a process of its own would: with no event loop around it."""
    runner = CliRunner(env={"COLUMNS": "200"})
    return await asyncio.to_thread(lambda: runner.invoke(app, arguments, input=stdin))


async def shown(letter_id: int) -> dict[str, Any]:
    result = await command("show", str(letter_id), "--json")
    assert result.exit_code == 0, result.stderr
    found: dict[str, Any] = json.loads(result.stdout)
    return found


async def listed(*options: str) -> list[int]:
    result = await command("list", "--json", *options)
    assert result.exit_code == 0, result.stderr
    return [row["letter_id"] for row in json.loads(result.stdout)]


async def work(settings: Settings, until: Until, worker: Ingest | None = None) -> None:
    """Let a worker read all that stands in the topic."""
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.kafka)
    await consumer.start()
    partition = TopicPartition(settings.topic(ORDER_PAID), 0)
    end = (await consumer.end_offsets([partition]))[partition]
    await consumer.stop()
    async with open_ledger(settings, Role.READER) as pool:

        async def read() -> bool:
            return await pool.fetchval("SELECT max(next_offset) FROM consumer_offsets") == end

        async with running(worker or ingest(settings)):
            await until(read)


async def last_record(settings: Settings) -> Any:
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.kafka)
    await consumer.start()
    try:
        partition = TopicPartition(settings.topic(ORDER_PAID), 0)
        consumer.assign([partition])
        end = (await consumer.end_offsets([partition]))[partition]
        consumer.seek(partition, end - 1)
        return await consumer.getone()
    finally:
        await consumer.stop()


async def available(pool: Pool) -> int | None:
    points: int | None = await pool.fetchval(
        "SELECT (balances -> 'points' ->> 'available')::int FROM accounts WHERE member_id = 'alice'"
    )
    return points


async def break_off(settings: Settings, operator: Pool, letter_id: int) -> None:
    """Replay a letter with a command that dies after it has sent, before it can note that."""
    letter = await letters.read_letter(operator, letter_id)
    assert letter is not None
    decoded = read(letter.mended, earn.decoders(settings)[letter.mended.topic])
    assert isinstance(decoded, Consumed)
    ref = decoded.event.ref
    await letters.begin_replay(operator, letter, Replayed(ref.source, ref.event_id, decoded.digest), 1, ANN)
    async with Resender(settings.kafka) as resender:
        await resender.send(letter, letter.came)


def order(order_id: str = "o-1", cents: int = 1000, **changes: object) -> dict[str, Any]:
    event = event_of(data_of(order_id, cents=[cents], at=wall_clock()))
    event["data"].update(changes)
    return event


async def test_a_mended_letter_counts_and_can_be_traced_both_ways(
    settings: Settings, operator: Pool, until: Until, tmp_path: Path
) -> None:
    wrong = order(paid=-5)
    await send(settings, ORDER_PAID, [wrong])
    await work(settings, until)
    letter_id = (await listed())[0]
    before = await shown(letter_id)
    assert (before["state"], before["path"], before["event_id"]) == ("new", "data.paid", "o-1")
    assert before["contract"]["accepted"] is False

    value = await command("show", str(letter_id), "--value")
    assert value.stdout_bytes == orjson.dumps(wrong)
    mended = tmp_path / "message.json"
    mended.write_bytes(value.stdout_bytes.replace(b'"paid":-5', b'"paid":1000'))
    edited = await command("edit", str(letter_id), "--value", str(mended), "--why", "the till sent -5", "--by", "ann")
    assert (edited.exit_code, edited.stdout) == (
        0,
        f"Letter {letter_id}: the contract accepts it now, as {SOURCE} o-1.\n",
    )
    assert await listed("--state", "mended") == [letter_id]

    replayed = await command("replay", str(letter_id), "--why", "mended")
    assert replayed.exit_code == 0, replayed.stderr
    assert (await shown(letter_id))["state"] == "sent"
    record = await last_record(settings)
    topic = settings.topic(ORDER_PAID)
    assert (record.topic, record.key) == (topic, b"alice")
    assert (record.headers[-2:]) == (
        ("pointstream-letter", str(letter_id).encode()),
        ("pointstream-origin", f"{topic}/0/0".encode()),
    )

    await work(settings, until)
    assert await available(operator) == 10
    after = await shown(letter_id)
    assert (after["state"], after["outcome"]) == ("counted", "posted")
    assert [(row["action"], row["actor"]) for row in after["actions"]] == [
        ("edit", "ann"),
        ("replay", getpass.getuser()),
        ("sent", getpass.getuser()),
    ]
    assert (after["actions"][0]["why"], after["actions"][2]["sent_offset"]) == ("the till sent -5", 1)
    assert b64decode(after["came"]["value_base64"]) == orjson.dumps(wrong), "what came is never changed"
    assert await listed("--event", "o-1") == [letter_id], "from the consumed event back to the letter"
    assert await listed() == []


async def test_an_unchanged_letter_counts_once_the_code_is_mended(
    settings: Settings, operator: Pool, until: Until
) -> None:
    broken = refusing("data", "The reader is broken.")

    await send(settings, ORDER_PAID, [order("o-1"), order("o-2"), order("o-3")])
    await work(settings, until, Ingest(earn.WORKER, {settings.topic(ORDER_PAID): broken}, settings))
    result = await command("replay", "--defect", "invalid_field", "--why", "1.2.1 reads them")
    assert result.exit_code == 0, result.stderr
    await work(settings, until)
    assert await available(operator) == 30
    assert await operator.fetchval("SELECT count(*) FROM dead_letters") == 3


async def test_replaying_twice_counts_once(settings: Settings, operator: Pool, until: Until) -> None:
    await send(settings, ORDER_PAID, [b"{"])
    await work(settings, until)
    right = orjson.dumps(order("o-1"))
    await command("edit", "1", "--value", "-", "--why", "cut off", stdin=right)
    assert (await command("replay", "1", "--why", "mended")).exit_code == 0
    again = await command("replay", "1", "--why", "was it sent?")
    assert again.exit_code == 1
    assert "not done: it was replayed as /shop o-1 and waits in" in again.stderr
    await work(settings, until)
    again = await command("replay", "1", "--why", "did it count?")
    assert "it was replayed as /shop o-1, which is in the ledger: posted" in again.stderr
    assert await available(operator) == 10
    assert (await last_record(settings)).offset == 1


async def test_a_replay_that_broke_off_can_be_done_again_and_counts_once(
    settings: Settings, operator: Pool, until: Until
) -> None:
    """Sent, but the command died before it could note that: the same letter goes into the topic twice."""
    await send(settings, ORDER_PAID, [b"{"])
    await work(settings, until)
    right = orjson.dumps(order("o-1"))
    await command("edit", "1", "--value", "-", "--why", "cut off", stdin=right)
    await break_off(settings, operator, 1)
    assert (await shown(1))["state"] == "sending"
    assert await listed() == [1]
    assert (await command("replay", "1", "--why", "broke off")).exit_code == 0
    await work(settings, until)
    assert await available(operator) == 10
    assert (await shown(1))["state"] == "counted"


async def test_after_a_replay_a_letter_cannot_become_another_event(
    settings: Settings, operator: Pool, until: Until
) -> None:
    """A letter without a readable id gets one by hand. A second id for it would be a second event."""
    await send(settings, ORDER_PAID, [b"{"])
    await work(settings, until)
    await command("edit", "1", "--value", "-", "--why", "cut off", stdin=orjson.dumps(order("o-1")))
    await command("replay", "1", "--why", "mended")
    for state in ("waits in", "is in the ledger"):
        other = await command(
            "edit", "1", "--value", "-", "--why", "another id", stdin=orjson.dumps({**order("o-1"), "id": "other"})
        )
        assert other.exit_code == 1
        assert state in other.stderr
        await work(settings, until)
    assert await available(operator) == 10


async def test_a_replay_that_is_bad_again_is_a_new_letter_that_leads_back_to_the_first(
    settings: Settings, operator: Pool, until: Until
) -> None:
    """The command knows the contract already, the worker is of an older version."""

    older = refusing("data.paid", "This version is too old.")

    def worker() -> Ingest:
        limits = settings.model_copy(update={"dead_letters_in_a_row_max": 1})
        return Ingest(earn.WORKER, {settings.topic(ORDER_PAID): older}, limits)

    await send(settings, ORDER_PAID, [order("o-1")])
    await work(settings, until, worker())
    for number in (1, 2, 3):
        assert (await command("replay", str(number), "--why", "try")).exit_code == 0
        await work(settings, until, worker())  # replays do not count towards the limit of 1, or it would stop
    first, last = await shown(1), await shown(4)
    assert (first["state"], first["returned_as"]) == ("returned", 2)
    assert (last["state"], last["origin_letter_id"]) == ("new", 3)
    assert (last["first"]["letter_id"], last["first"]["offset"]) == (1, 0)
    origin = {header["name"]: header["value"] for header in last["came"]["headers"]}["pointstream-origin"]
    assert origin == f"{settings.topic(ORDER_PAID)}/0/0"
    refused = await command("replay", "1", "--why", "try")
    assert "came back as letter 2: go on with that one" in refused.stderr
    assert (await command("replay", "4", "--why", "the worker is new now")).exit_code == 0
    await work(settings, until)
    assert await available(operator) == 10
    assert (await shown(4))["state"] == "counted"


async def test_two_letters_of_one_message_never_count_as_two_events(
    settings: Settings, operator: Pool, until: Until
) -> None:
    """A replay that broke off was sent twice, and an old worker made two letters of it: one may count, not both."""

    older = refusing("data.paid", "This version is too old.")

    def worker() -> Ingest:
        return Ingest(earn.WORKER, {settings.topic(ORDER_PAID): older}, settings)

    await send(settings, ORDER_PAID, [order("o-1")])
    await work(settings, until, worker())
    await break_off(settings, operator, 1)
    assert (await command("replay", "1", "--why", "broke off")).exit_code == 0
    await work(settings, until, worker())
    assert await listed() == [2, 3]
    for number, event_id in (("2", "second"), ("3", "third")):
        other = orjson.dumps({**order(event_id), "id": event_id})
        assert (await command("edit", number, "--value", "-", "--why", "x", stdin=other)).exit_code == 0
    assert (await command("replay", "2", "--why", "x")).exit_code == 0
    refused = await command("replay", "3", "--why", "x")
    assert refused.exit_code == 1
    assert "was replayed as letter 2 with another id, and would count twice" in refused.stderr
    await work(settings, until)
    assert await available(operator) == 10


async def test_a_used_id_needs_one_of_its_own(settings: Settings, operator: Pool, until: Until) -> None:
    await send(settings, ORDER_PAID, [order("o-1"), event_of(data_of("o-2", at=wall_clock()), "o-1")])
    await work(settings, until)
    refused = await command("replay", "1", "--why", "try")
    assert refused.exit_code == 1
    assert "it would only come back, the contract refuses it: id: The ledger knows this id" in refused.stderr
    assert (await shown(1))["state"] == "new", "nothing was sent"
    mended = orjson.dumps({**json.loads((await command("show", "1", "--value")).stdout), "id": "o-2"})
    await command("edit", "1", "--value", "-", "--why", "the shop counted anew", stdin=mended)
    assert (await command("replay", "1", "--why", "mended")).exit_code == 0
    await work(settings, until)
    assert await available(operator) == 20


async def test_edit_says_at_once_what_is_still_wrong_and_replay_does_not_send_it(
    settings: Settings, operator: Pool, until: Until
) -> None:
    await send(settings, ORDER_PAID, [b"{"])
    await work(settings, until)
    wrong = order("o-1")
    wrong["data"]["lines"][0]["tax"] = "7"
    edited = await command("edit", "1", "--value", "-", "--why", "cut off", stdin=orjson.dumps(wrong))
    assert edited.exit_code == 1
    assert "Letter 1: the contract refuses it: data.lines[0].tax: " in edited.stdout
    as_json = await command("edit", "1", "--value", "-", "--why", "again", "--json", stdin=orjson.dumps(wrong))
    assert json.loads(as_json.stdout)["contract"]["path"] == "data.lines[0].tax"
    replayed = await command("replay", "1", "--why", "try", "--json")
    assert replayed.exit_code == 1
    assert json.loads(replayed.stdout)[0]["done"] is False
    assert (await last_record(settings)).offset == 0, "only what came is in the topic"


async def test_headers_can_be_mended(settings: Settings, operator: Pool, until: Until) -> None:
    await send(settings, ORDER_PAID, [orjson.dumps(data_of("o-1", at=wall_clock()))])
    await work(settings, until)
    headers = [f"ce_specversion=1.0,ce_source={SOURCE},ce_type=pointstream.order-paid.v1,ce_id=wrong,old=x"]
    options = [part for header in headers[0].split(",") for part in ("--header", header)]
    assert (await command("edit", "1", *options, "--why", "sent without")).exit_code == 0
    more = await command("edit", "1", "--header", "ce_id=paid=1", "--without-header", "old", "--why", "the right id")
    assert "accepts it now, as /shop paid=1" in more.stdout
    assert (await command("replay", "1", "--why", "mended")).exit_code == 0
    await work(settings, until)
    assert await operator.fetchval("SELECT event_id FROM consumed_events") == "paid=1"
    wrong = await command("edit", "1", "--header", "ce_id", "--why", "x")
    assert (wrong.exit_code, "write it like ce_id=paid-1" in wrong.stderr) == (1, True)


async def test_a_letter_can_be_mended_in_an_editor(
    settings: Settings, operator: Pool, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    await send(settings, ORDER_PAID, [order(paid=-5)])
    await work(settings, until)
    monkeypatch.delenv("VISUAL", raising=False)
    monkeypatch.setenv("EDITOR", "sed -i s/-5/1000/")
    edited = await command("edit", "1", "--why", "by hand")
    assert (edited.exit_code, "accepts it now" in edited.stdout) == (0, True)
    monkeypatch.setenv("EDITOR", "sed -i s/nothing/nothing/")
    assert "Nothing was changed." in (await command("edit", "1", "--why", "looked")).stderr
    monkeypatch.setenv("EDITOR", "false")
    failed = await command("edit", "1", "--why", "looked")
    assert (failed.exit_code, "nothing was changed" in failed.stderr) == (1, True)
    assert len((await shown(1))["actions"]) == 1


async def test_letters_are_found_by_defect_topic_and_time_and_can_be_dropped(
    settings: Settings, operator: Pool, until: Until
) -> None:
    await send(settings, ORDER_PAID, [b"{", None, order("o-1", paid=-1), None])
    await work(settings, until)
    assert await listed() == [1, 2, 3, 4]
    assert await listed("--defect", "empty") == [2, 4]
    assert await listed("--topic", ORDER_PAID, "--limit", "1") == [1]
    assert await listed("--since", "2020-01-01T00:00:00Z", "--until", "2021-01-01T00:00:00Z") == []
    assert await listed("--until", "2100-01-01T00:00:00Z") == [1, 2, 3, 4]
    table = (await command("list")).stdout
    assert "4 letters: 2 empty, 1 not_json, 1 invalid_field." in table
    assert "data.paid" in table
    dropped = await command("drop", "--defect", "empty", "--why", "tombstones of the old shop")
    assert dropped.stdout == "Letter 2: dropped\nLetter 4: dropped\n"
    assert await listed() == [1, 3]
    assert await listed("--state", "dropped") == [2, 4]
    again = await command("drop", "2", "--why", "again")
    assert (again.exit_code, "it was dropped; an edit opens it again" in again.stderr) == (1, True)
    assert (await shown(4))["actions"][0]["why"] == "tombstones of the old shop"
    kept = await operator.fetchval("SELECT count(*) FROM dead_letters")
    assert kept == 4


async def test_of_two_people_who_act_at_once_one_is_told(settings: Settings, operator: Pool, until: Until) -> None:
    await send(settings, ORDER_PAID, [b"{"])
    await work(settings, until)
    seen = await letters.read_letter(operator, 1)
    assert seen is not None
    results = await asyncio.gather(
        *(letters.drop(operator, seen, Author(name, "both")) for name in ("ann", "bob")), return_exceptions=True
    )
    refused = [result for result in results if isinstance(result, RefusedError)]
    assert [str(error) for error in refused] == ["somebody else has just done something with it: look at it again"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("show", "99"), "There is no dead letter 99."),
        (("list", "--state", "gone"), "--state: 'gone' is none; say open, all, new"),
        (("list", "--topic", "orders"), "'orders' is no topic that is read; say order-paid"),
        (("drop", "--defect", "emtpy", "--why", "x"), "--defect: 'emtpy' is none; say empty, too_large"),
        (("list", "--since", "2026-03-01"), "--since: '2026-03-01' has no offset"),
        (("replay", "--why", "x"), "Say which: either the letters' numbers, or --topic"),
        (("drop", "1", "--defect", "empty", "--why", "x"), "Say which: either the letters' numbers, or --topic"),
        (("drop", "99", "--why", "x"), "Letter 99: not done: there is no such letter"),
        (("drop", "1", "--why", " "), "--why: say why"),
        (("edit", "99", "--why", "x"), "There is no dead letter 99."),
        (("accept", "orders", "--why", "x"), "'orders' is no topic that is read; say order-paid"),
    ],
)
async def test_the_command_says_what_is_wrong(settings: Settings, arguments: tuple[str, ...], message: str) -> None:
    result = await command(*arguments)
    assert result.exit_code == 1
    assert message in result.stderr


async def test_a_letter_cannot_give_the_terminal_orders(settings: Settings, until: Until) -> None:
    value = orjson.dumps({**order("o\x1b[2J"), "specversion": "0.3"}).replace(b"\\u001b", b"\\u001b")
    await send(settings, ORDER_PAID, [value, b"\x1b[2J [red]"])
    await work(settings, until)
    for arguments in (("list",), ("show", "1"), ("show", "2")):
        output = (await command(*arguments)).stdout
        assert "\x1b" not in output
    assert "[red]" in (await command("show", "2")).stdout


async def test_accept_says_up_to_where(settings: Settings, operator: Pool) -> None:
    await send(settings, ORDER_PAID, [b"{", b"{"])
    result = await command("accept", ORDER_PAID, "--why", "all known", "--by", "ann")
    assert "accepted up to these offsets of its partitions: 0: 2. Start the worker again." in result.stdout
    row = await operator.fetchrow("SELECT topic, partition, until_offset, actor, why FROM dead_letter_acceptances")
    assert row is not None
    assert tuple(row) == (settings.topic(ORDER_PAID), 0, 2, "ann", "all known")


@pytest.mark.parametrize("state", list(State))
def test_every_state_is_told(state: State) -> None:
    now = wall_clock()
    message = letters.Kept("t", 0, 1, unix_ms(now), None, None, ())
    letter = letters.Letter(
        1, message, message, "d", "p", "r", None, None, now, None, state, 0, "s", "e", 0, 2, "posted",
        now, 3,
    )  # fmt: skip
    assert letters.what_became(letter)
