"""`pointstream dead-letters`: what could not be read, looked through, mended, replayed and dropped."""

import asyncio
import getpass
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Annotated, TypeVar

import asyncpg
import orjson
import typer
from aiokafka.errors import KafkaError

from services.cli import letter_view as view
from services.cli.config import (
    BIGINT_MAX,
    POSTGRES_ERRORS,
    console,
    errors,
    fail,
    fail_at_postgres,
    instant_option,
    load_settings,
)
from services.cli.mending import MendingError, change, edit_by_hand, judge, read_value
from shared.contracts.defect import Defect as KnownDefect
from shared.ledger import letters
from shared.ledger.batch import CONFLICTING_DUPLICATE
from shared.ledger.database import Pool, Role, open_pool
from shared.ledger.installation import InstallationError, read_installation
from shared.ledger.letters import Author, Letter, RefusedError, Selection, State
from shared.settings import Settings
from shared.stream.resend import Resender
from shared.stream.topics import INPUTS
from shared.stream.watermark import ends_of

LETTERS_MAX = 10_000
"""How many letters one command acts on; more are a second command."""

DEFECTS = (*KnownDefect, CONFLICTING_DUPLICATE)
"""What a letter can have wrong with it."""

OPEN = "open"
ALL = "all"

T = TypeVar("T")

app = typer.Typer(
    no_args_is_help=True,
    help="Messages that could not be read: look through them, mend them, replay them, or drop them.",
)

LetterId = Annotated[int, typer.Argument(help="The letter's number, as `list` shows it.", min=1, max=BIGINT_MAX)]
LetterIds = Annotated[
    list[int] | None,
    typer.Argument(help="The letters' numbers; or select some by the options.", min=1, max=BIGINT_MAX),
]
Topic = Annotated[str | None, typer.Option("--topic", help=f"Only of this topic: {', '.join(INPUTS)}.")]
Defect = Annotated[str | None, typer.Option("--defect", help="Only with this defect, like invalid_field.")]
Since = Annotated[str | None, typer.Option("--since", help="Only kept at or after this instant.")]
Until = Annotated[str | None, typer.Option("--until", help="Only kept before this instant.")]
Why = Annotated[str, typer.Option("--why", help="Why you do this. It is kept.")]
By = Annotated[str | None, typer.Option("--by", help="Who does this; the user of this machine unless given.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for a program to read.")]
Installation = Annotated[
    str | None, typer.Option("--installation", help="Which installation; POINTSTREAM_INSTALLATION unless given.")
]


@app.command(
    "list", epilog="Example: pointstream dead-letters list --defect invalid_field --since 2026-03-01T00:00:00Z"
)
def list_letters(
    topic: Topic = None,
    defect: Defect = None,
    since: Since = None,
    until: Until = None,
    state: Annotated[
        str, typer.Option("--state", help=f"{OPEN} (those that wait for somebody), {ALL}, {', '.join(State)}.")
    ] = OPEN,
    event: Annotated[str | None, typer.Option("--event", help="Only of the event with this id, of any state.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=LETTERS_MAX, help="How many to show, oldest first.")] = 50,
    as_json: AsJson = False,
    installation: Installation = None,
) -> None:
    """List dead letters, oldest first."""
    settings = load_settings(installation=installation)
    states = _states(ALL if event is not None else state)
    selection = _selection(settings, topic, defect, since, until, event=event, states=states)

    async def work(pool: Pool) -> None:
        found = await letters.find_letters(pool, selection, limit)
        if as_json:
            _echo(view.list_document(found))
        elif found:
            view.show_list(console, found, limit)
        else:
            console.print("There are no such dead letters.")

    _run(settings, work)


@app.command(epilog="Example: pointstream dead-letters show 17 --value > message.json")
def show(
    letter_id: LetterId,
    value: Annotated[bool, typer.Option("--value", help="Write the message's value alone, byte by byte.")] = False,
    as_json: AsJson = False,
    installation: Installation = None,
) -> None:
    """Show a letter: the message, what is wrong with it, what was done, and what became of it."""
    settings = load_settings(installation=installation)

    async def work(pool: Pool) -> None:
        letter = await _letter(pool, letter_id)
        if value:
            typer.echo(letter.mended.value or b"", nl=False)
            return
        first = await letters.first_letter(pool, letter)
        actions = await letters.read_actions(pool, letter_id)
        verdict = await judge(pool, settings, letter.mended, await _shards(pool))
        if as_json:
            _echo(view.letter_document(letter, first, actions, verdict))
        else:
            view.show_letter(console, letter, first, actions, verdict)

    _run(settings, work)


@app.command(epilog='Example: pointstream dead-letters edit 17 --value message.json --why "the till sent -5"')
def edit(
    letter_id: LetterId,
    why: Why,
    value: Annotated[
        str | None, typer.Option("--value", help="The new value: a file, or - for standard input.")
    ] = None,
    header: Annotated[
        list[str] | None, typer.Option("--header", help="Set a header, like ce_id=paid-1. Can be given again.")
    ] = None,
    without_header: Annotated[
        list[str] | None, typer.Option("--without-header", help="Leave a header out. Can be given again.")
    ] = None,
    by: By = None,
    as_json: AsJson = False,
    installation: Installation = None,
) -> None:
    """Mend a letter: its value and its headers. Without options, in $EDITOR.

    Says at once whether the contract accepts it now; exits with 1 when it does not. What came is never changed.
    """
    settings = load_settings(installation=installation)
    author = _author(by, why)

    async def work(pool: Pool) -> bool:
        letter = await _letter(pool, letter_id)
        new = None if value is None else read_value(value)
        if value is None and not header and not without_header:
            new = edit_by_hand(letter.mended.value or b"")
        mended = change(letter.mended, new, header or (), without_header or ())
        if (mended.value or b"") != (letter.mended.value or b"") or mended.headers != letter.mended.headers:
            await letters.edit(pool, letter, mended, author)
        else:
            errors.print("Nothing was changed.")
        verdict = await judge(pool, settings, mended, await _shards(pool))
        if as_json:
            _echo({"letter_id": letter_id, "contract": view.verdict_document(verdict)})
        else:
            typer.echo(f"Letter {letter_id}: the contract {view.said(verdict)}.".replace("..", "."))
        return verdict.event is not None

    _run_whole(settings, work)


@app.command(epilog='Example: pointstream dead-letters replay 17 18 --why "mended by hand"')
def replay(
    why: Why,
    letter_ids: LetterIds = None,
    topic: Topic = None,
    defect: Defect = None,
    since: Since = None,
    until: Until = None,
    by: By = None,
    as_json: AsJson = False,
    installation: Installation = None,
) -> None:
    """Send letters to the topic that they came from, as they are now. What the contract still refuses is not sent.

    Replaying one again says what became of it. Exits with 1 when one was not sent.
    """
    settings = load_settings(installation=installation)
    selection = _selection(settings, topic, defect, since, until)
    author = _author(by, why)

    async def work(pool: Pool) -> bool:
        chosen = await _chosen(pool, letter_ids, selection)
        async with Resender(settings.kafka) as resender:
            return await _each(chosen, as_json, lambda one: _replay(pool, settings, resender, one, author))

    _run_whole(settings, work)


@app.command(epilog='Example: pointstream dead-letters drop --defect empty --why "tombstones of the old shop"')
def drop(
    why: Why,
    letter_ids: LetterIds = None,
    topic: Topic = None,
    defect: Defect = None,
    since: Since = None,
    until: Until = None,
    by: By = None,
    as_json: AsJson = False,
    installation: Installation = None,
) -> None:
    """Say that nothing will come of letters. They are kept; an edit opens one again."""
    settings = load_settings(installation=installation)
    selection = _selection(settings, topic, defect, since, until)
    author = _author(by, why)

    async def work(pool: Pool) -> bool:
        async def one(letter: Letter) -> str:
            await letters.drop(pool, letter, author)
            return "dropped"

        chosen = await _chosen(pool, letter_ids, selection)
        return await _each(chosen, as_json, lambda letter_id: _with_letter(pool, letter_id, one))

    _run_whole(settings, work)


@app.command(
    epilog='Example: pointstream dead-letters accept order-paid --why "the shop sent them twice, all are known"'
)
def accept(
    topic: Annotated[str, typer.Argument(help=f"The topic: {', '.join(INPUTS)}.")],
    why: Why,
    by: By = None,
    installation: Installation = None,
) -> None:
    """After a worker stopped for too many bad messages: let all that stands in the topic now become dead letters.

    Messages that come later count towards the limits as ever.
    """
    settings = load_settings(installation=installation)
    name = _topic(settings, topic)
    author = _author(by, why)

    async def work(pool: Pool) -> None:
        ends = await ends_of(settings, name)
        await letters.accept(pool, name, ends, author)
        waiting = ", ".join(f"{partition}: {end}" for partition, end in ends.items())
        typer.echo(f"{name}: accepted up to these offsets of its partitions: {waiting}. Start the worker again.")

    _run(settings, work)


async def _replay(pool: Pool, settings: Settings, resender: Resender, letter_id: int, author: Author) -> str:
    async def send(letter: Letter) -> str:
        if letter.state not in letters.OPEN:
            raise RefusedError(letters.what_became(letter))
        shards = await _shards(pool)
        verdict = await judge(pool, settings, letter.mended, shards)
        if verdict.event is None:
            raise RefusedError(f"it would only come back, the contract {view.said(verdict)}")
        begun = await letters.begin_replay(pool, letter, verdict.event, shards, author)
        first = await letters.first_letter(pool, begun)
        partition, offset = await resender.send(begun, first.came)
        await letters.end_replay(pool, begun, partition, offset, author)
        event = view.plain(f"{verdict.event.source} {verdict.event.event_id}")
        return f"sent to {begun.came.topic}/{partition}, offset {offset}, as {event}"

    return await _with_letter(pool, letter_id, send)


async def _with_letter(pool: Pool, letter_id: int, act: Callable[[Letter], Awaitable[str]]) -> str:
    letter = await letters.read_letter(pool, letter_id)
    if letter is None:
        raise RefusedError("there is no such letter")
    return await act(letter)


async def _each(letter_ids: list[int], as_json: bool, act: Callable[[int], Awaitable[str]]) -> bool:
    """Act on letters in their order, and say of each what happened; True when all went well."""
    results: list[dict[str, object]] = []
    for letter_id in letter_ids:
        try:
            done, what = True, await act(letter_id)
        except RefusedError as error:
            done, what = False, str(error)
        results.append({"letter_id": letter_id, "done": done, "what": what})
        if not as_json:
            typer.echo(f"Letter {letter_id}: {'' if done else 'not done: '}{what}", err=not done)
    if as_json:
        _echo(results)
    elif not results:
        typer.echo("There are no such dead letters.")
    return all(result["done"] for result in results)


async def _chosen(pool: Pool, letter_ids: list[int] | None, selection: Selection) -> list[int]:
    """The letters that were named, or else those of the selection that wait for somebody."""
    by_options = selection != Selection()
    if bool(letter_ids) == by_options:
        fail("Say which: either the letters' numbers, or --topic, --defect, --since or --until.")
    if letter_ids:
        return sorted(set(letter_ids))
    return [row["letter_id"] for row in await letters.find_letters(pool, selection, LETTERS_MAX)]


async def _letter(pool: Pool, letter_id: int) -> Letter:
    letter = await letters.read_letter(pool, letter_id)
    if letter is None:
        fail(f"There is no dead letter {letter_id}. `pointstream dead-letters list --state all` shows them all.")
    return letter


async def _shards(pool: Pool) -> int:
    return (await read_installation(pool)).shards


def _author(by: str | None, why: str) -> Author:
    if not why.strip():
        fail("--why: say why; it is kept for those who come after you.")
    try:
        return Author(by or getpass.getuser(), why)
    except (KeyError, OSError):
        return Author(f"user {os.getuid()}", why)


def _topic(settings: Settings, name: str) -> str:
    if name not in INPUTS:
        fail(f"{name!r} is no topic that is read; say {', '.join(INPUTS)}")
    return settings.topic(name)


def _defect(name: str) -> str:
    if name not in DEFECTS:
        fail(f"--defect: {name!r} is none; say {', '.join(DEFECTS)}")
    return name


def _states(state: str) -> tuple[State, ...]:
    if state == OPEN:
        return letters.OPEN
    if state == ALL:
        return tuple(State)
    try:
        return (State(state),)
    except ValueError:
        fail(f"--state: {state!r} is none; say {OPEN}, {ALL}, {', '.join(State)}")


def _selection(
    settings: Settings,
    topic: str | None,
    defect: str | None,
    since: str | None,
    until: str | None,
    *,
    event: str | None = None,
    states: tuple[State, ...] = letters.OPEN,
) -> Selection:
    return Selection(
        None if topic is None else _topic(settings, topic),
        None if defect is None else _defect(defect),
        None if since is None else instant_option(since, "--since"),
        None if until is None else instant_option(until, "--until"),
        event,
        states,
    )


def _echo(document: object) -> None:
    typer.echo(orjson.dumps(document, option=orjson.OPT_INDENT_2))


def _run(settings: Settings, work: Callable[[Pool], Awaitable[T]]) -> T:
    """Do something with the ledger, as its operator; end the command with what is wrong."""

    async def opened() -> T:
        async with _ledger(settings) as pool:
            return await work(pool)

    try:
        return asyncio.run(opened())
    except (InstallationError, MendingError) as error:
        fail(str(error))
    except RefusedError as error:
        fail(f"Not done: {error}.")
    except asyncpg.InvalidCatalogNameError:
        fail(f"There is no installation {settings.installation!r} here. `pointstream init` makes it.")
    except POSTGRES_ERRORS as error:
        fail_at_postgres(error)
    except KafkaError as error:
        fail(f"Kafka does not answer: {error}\n`pointstream stack status` shows what runs. Replaying again is safe.")


def _run_whole(settings: Settings, work: Callable[[Pool], Awaitable[bool]]) -> None:
    """Do something with the ledger that says whether all of it was done; exit with 1 when not."""
    if not _run(settings, work):
        raise typer.Exit(1)


@asynccontextmanager
async def _ledger(settings: Settings) -> AsyncIterator[Pool]:
    pool = await open_pool(settings.database, Role.OPERATOR, by_key=False)
    try:
        yield pool
    finally:
        pool.terminate()
