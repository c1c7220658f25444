"""Dead letters as people look after them: found, read, and given actions. What came is never changed: an edit, a replay
and a drop are rows beside it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import NamedTuple, NoReturn, assert_never

from shared.domain.ids import EventId, EventSource
from shared.domain.time import Instant, unix_ms
from shared.ledger import statements
from shared.ledger.database import Connection, Pool, Record
from shared.ledger.dead_letters import dump_headers, load_headers
from shared.ledger.sharding import shard_of

ACTIONS_LOCK = 7_236_514_021
"""An advisory lock, the same for everybody: people act on letters one at a time, so no two of them count one twice."""


class State(StrEnum):
    """What became of a letter."""

    NEW = "new"
    """Nobody has done anything with it."""
    MENDED = "mended"
    """It was edited, and not replayed since."""
    SENDING = "sending"
    """A replay was begun, and nobody knows whether it was sent. To replay it again is safe."""
    SENT = "sent"
    """A replay is in the topic, and the worker has not read it yet."""
    COUNTED = "counted"
    """Its event is in the ledger, with an outcome."""
    RETURNED = "returned"
    """Its replay came back as another dead letter."""
    DROPPED = "dropped"
    """Somebody decided that nothing will come of it."""


OPEN = (State.NEW, State.MENDED, State.SENDING)
"""Those that wait for somebody."""


class RefusedError(Exception):
    """An action does not go with what became of the letter; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which letters: None selects by nothing. `kept_from` is inclusive, `kept_until` is not."""

    topic: str | None = None
    defect: str | None = None
    kept_from: Instant | None = None
    kept_until: Instant | None = None
    event_id: str | None = None
    states: Sequence[State] = OPEN


@dataclass(frozen=True, slots=True)
class Kept:
    """A message as the ledger has kept it. It is a `Message`, like a record of the log."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]


@dataclass(frozen=True, slots=True)
class Letter:
    """A letter: the message as it came, as it is after its last edit, what is wrong with it, and what became of it."""

    letter_id: int
    came: Kept
    mended: Kept
    defect: str
    path: str
    reason: str
    source: str | None
    event_id: str | None
    recorded_at: Instant
    origin_letter_id: int | None
    state: State
    action_no: int
    replayed_source: str | None
    replayed_event_id: str | None
    sent_partition: int | None
    sent_offset: int | None
    outcome: str | None
    counted_at: Instant | None
    returned_as: int | None


@dataclass(frozen=True, slots=True)
class Replayed:
    """The event that a replay is: who it says it is, and the digest of what it says."""

    source: EventSource
    event_id: EventId
    digest: bytes


class _Row(NamedTuple):
    """The columns of an action that only some kinds have."""

    value: bytes | None = None
    headers: bytes | None = None
    event_shard: int | None = None
    source: str | None = None
    event_id: str | None = None
    digest: bytes | None = None
    sent_partition: int | None = None
    sent_offset: int | None = None


@dataclass(frozen=True, slots=True)
class Author:
    """Who does something, and why."""

    name: str
    why: str


async def find_letters(pool: Pool, selection: Selection, letters_max: int) -> list[Record]:
    """The letters of a selection, oldest first, without their messages."""
    return await pool.fetch(
        statements.LIST_DEAD_LETTERS,
        selection.topic,
        selection.defect,
        selection.kept_from,
        selection.kept_until,
        [state.value for state in selection.states],
        selection.event_id,
        letters_max,
    )


async def read_letter(connection: Connection | Pool, letter_id: int) -> Letter | None:
    """A letter with everything that is known of it."""
    row = await connection.fetchrow(statements.READ_DEAD_LETTER, letter_id)
    return None if row is None else _letter(row)


async def read_actions(pool: Pool, letter_id: int) -> list[Record]:
    """What people did with a letter, in order."""
    return await pool.fetch(statements.READ_DEAD_LETTER_ACTIONS, letter_id)


async def first_letter(connection: Connection | Pool, letter: Letter) -> Letter:
    """The letter that a letter goes back to, over all its replays: itself for most."""
    while letter.origin_letter_id is not None:
        origin = await read_letter(connection, letter.origin_letter_id)
        if origin is None:
            break
        letter = origin
    return letter


async def edit(pool: Pool, letter: Letter, mended: Kept, author: Author) -> None:
    """Record how a letter is from now on. Raises `RefusedError` once it was replayed: it may have counted as it was."""
    row = _Row(mended.value, dump_headers(mended.headers))
    async with pool.acquire() as connection, connection.transaction():
        now = await _locked(connection, letter)
        if now.state not in {State.NEW, State.MENDED, State.DROPPED}:
            _refuse(now)
        await _add(connection, now, "edit", author, row)


async def drop(pool: Pool, letter: Letter, author: Author) -> None:
    """Record that nothing will come of a letter. Raises `RefusedError` once it was replayed."""
    async with pool.acquire() as connection, connection.transaction():
        now = await _locked(connection, letter)
        if now.state not in {State.NEW, State.MENDED}:
            _refuse(now)
        await _add(connection, now, "drop", author, _Row())


async def begin_replay(pool: Pool, letter: Letter, replayed: Replayed, shards: int, author: Author) -> Letter:
    """Record that a letter is about to be sent, as which event; gives the letter after it.

    Raises `RefusedError` where it was sent already, or where it could count a second time under another id.
    """
    source, event_id, digest = replayed.source, replayed.event_id, replayed.digest
    async with pool.acquire() as connection, connection.transaction():
        now = await _locked(connection, letter)
        if now.state not in OPEN:
            _refuse(now)
        other = await connection.fetchrow(statements.FIND_OTHER_REPLAY, letter.letter_id, source, event_id)
        if other is not None:
            raise RefusedError(
                f"the same message was replayed as letter {other['letter_id']} with another id, and would count twice:"
                f" give this one the source {other['replayed_source']!r} and the id {other['replayed_event_id']!r}"
            )
        row = _Row(None, None, shard_of(event_id, shards), source, event_id, digest)
        await _add(connection, now, "replay", author, row)
        return await _read(connection, letter.letter_id)


async def end_replay(pool: Pool, letter: Letter, partition: int, offset: int, author: Author) -> None:
    """Record where in its topic a replay stands."""
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock($1)", ACTIONS_LOCK)
        now = await _read(connection, letter.letter_id)
        await _add(connection, now, "sent", author, _Row(sent_partition=partition, sent_offset=offset))


async def accept(pool: Pool, topic: str, ends: dict[int, int], author: Author) -> None:
    """Let what stands in a topic's partitions, up to these offsets, become dead letters beyond all limits."""
    await pool.execute(statements.ACCEPT_DEAD_LETTERS, topic, list(ends), list(ends.values()), author.name, author.why)


async def conflicts(pool: Pool, replayed: Replayed, shards: int) -> bool:
    """Whether the ledger knows the event's id with other content."""
    rows = await pool.fetch(
        statements.FIND_CONSUMED, [shard_of(replayed.event_id, shards)], [replayed.source], [replayed.event_id]
    )
    return any(row["digest"] != replayed.digest for row in rows)


async def _locked(connection: Connection, seen: Letter) -> Letter:
    """The letter as it is now, while nobody else acts. Raises `RefusedError` where somebody acted since it was read."""
    await connection.execute("SELECT pg_advisory_xact_lock($1)", ACTIONS_LOCK)
    now = await _read(connection, seen.letter_id)
    if now.action_no != seen.action_no:
        raise RefusedError("somebody else has just done something with it: look at it again")
    return now


async def _read(connection: Connection, letter_id: int) -> Letter:
    letter = await read_letter(connection, letter_id)
    if letter is None:
        raise RefusedError("there is no such letter")
    return letter


async def _add(connection: Connection, now: Letter, action: str, author: Author, row: _Row) -> None:
    await connection.execute(
        statements.ADD_DEAD_LETTER_ACTION, now.letter_id, now.action_no + 1, action, author.name, author.why, *row
    )


def _refuse(letter: Letter) -> NoReturn:
    raise RefusedError(what_became(letter))


def what_became(letter: Letter) -> str:  # noqa: PLR0911 - one sentence a state
    """What became of a letter, in a sentence that says how to go on."""
    event = f"{letter.replayed_source} {letter.replayed_event_id}"
    match letter.state:
        case State.NEW:
            return "nobody has done anything with it"
        case State.MENDED:
            return "it was mended, and waits to be replayed"
        case State.SENDING:
            return f"a replay as {event} was begun, and may have been sent: replay it again, it counts once"
        case State.SENT:
            place = f"{letter.came.topic}/{letter.sent_partition}, offset {letter.sent_offset}"
            return f"it was replayed as {event} and waits in {place} to be read"
        case State.COUNTED:
            return f"it was replayed as {event}, which is in the ledger: {letter.outcome}"
        case State.RETURNED:
            return f"its replay came back as letter {letter.returned_as}: go on with that one"
        case State.DROPPED:
            return "it was dropped; an edit opens it again"
    assert_never(letter.state)


def _letter(row: Record) -> Letter:
    came = Kept(
        row["topic"],
        row["partition"],
        row["offset"],
        unix_ms(row["arrived_at"]),
        row["message_key"],
        row["message_value"],
        tuple(load_headers(row["headers"])),
    )
    mended = came
    if row["edited_headers"] is not None:
        headers = tuple(load_headers(row["edited_headers"]))
        mended = replace(came, value=row["edited_value"], headers=headers)
    return Letter(
        row["letter_id"],
        came,
        mended,
        row["defect"],
        row["path"],
        row["reason"],
        row["source"],
        row["event_id"],
        row["recorded_at"],
        row["origin_letter_id"],
        State(row["state"]),
        row["action_no"] or 0,
        row["replayed_source"],
        row["replayed_event_id"],
        row["sent_partition"],
        row["sent_offset"],
        row["outcome"],
        row["counted_at"],
        row["returned_as"],
    )
