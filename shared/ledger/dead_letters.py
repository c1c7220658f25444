"""Keeping what could not be read, and stopping before a topic drains into the dead letters (docs/adr/0009)."""

from collections.abc import Sequence

import orjson

from shared.ledger import statements
from shared.ledger.batch import DeadLetter, LetterLimits, Message, arrival_of
from shared.ledger.database import Connection, Record

LETTER_HEADER = "pointstream-letter"
"""The header of a replay: which dead letter it was, as decimal digits."""

ORIGIN_HEADER = "pointstream-origin"
"""The header of a replay: `topic/partition/offset` of the message that all of it goes back to."""

REASONS_SHOWN = 3
"""The first ones say what is wrong; a bad deploy breaks all messages alike."""

_LETTER_DIGITS_MAX = 18
"""Fits int64, whatever the header says."""


class TooManyDeadLettersError(Exception):
    """A batch would take a partition beyond a limit; nothing of it was posted. The message says how to go on."""


async def write_dead_letters(connection: Connection, letters: Sequence[DeadLetter]) -> None:
    """Keep what could not be read, as it came."""
    if not letters:
        return
    rows = [
        (
            letter.message.topic,
            letter.message.partition,
            letter.message.offset,
            arrival_of(letter.message),
            letter.message.key,
            letter.message.value,
            dump_headers(letter.message.headers),
            letter.defect,
            letter.path,
            letter.reason,
            letter.source,
            letter.event_id,
            _origin(letter.message),
        )
        for letter in letters
    ]
    await connection.execute(statements.ADD_DEAD_LETTERS, *zip(*rows, strict=True))


async def check_limits(connection: Connection, letters: Sequence[DeadLetter], limits: LetterLimits | None) -> None:
    """Raises `TooManyDeadLettersError` when letters, which must be written by now, take a partition beyond a limit.

    The letters in the ledger are the only count. So another lane, another worker and the same worker after a restart
    all come to the same: the message that is one too many is never posted.
    """
    if not letters or limits is None:
        return
    excess = await connection.fetchrow(
        statements.FIND_EXCESS_DEAD_LETTER,
        [letter.message.topic for letter in letters],
        [letter.message.partition for letter in letters],
        [letter.message.offset for letter in letters],
        limits.in_a_row_max,
        limits.share_of_messages * limits.share_max_percent // 100,
        limits.share_of_messages,
    )
    if excess is not None:
        raise TooManyDeadLettersError(_say(excess, letters, limits))


def dump_headers(headers: Sequence[tuple[str, bytes | None]]) -> bytes:
    """Headers as JSON: pairs of a name and its value in hexadecimal, or null."""
    return orjson.dumps([[name, None if value is None else bytes(value).hex()] for name, value in headers])


def load_headers(text: bytes) -> list[tuple[str, bytes | None]]:
    """What `dump_headers` wrote."""
    return [(name, None if value is None else bytes.fromhex(value)) for name, value in orjson.loads(text)]


def _origin(message: Message) -> int | None:
    """The letter that a message says to be a replay of."""
    for name, value in message.headers:
        if name == LETTER_HEADER and value and len(value) <= _LETTER_DIGITS_MAX and value.isdigit():
            return int(value)
    return None


def _say(excess: Record, letters: Sequence[DeadLetter], limits: LetterLimits) -> str:
    topic, partition, offset, in_a_row, of_last = excess
    if in_a_row > limits.in_a_row_max:
        what = f"{in_a_row} messages in a row cannot be used, and the limit is {limits.in_a_row_max}"
        setting = "POINTSTREAM_DEAD_LETTERS_IN_A_ROW_MAX"
    else:
        what = (
            f"{of_last} of the last {limits.share_of_messages} messages cannot be used, and the limit is"
            f" {limits.share_max_percent} %"
        )
        setting = "POINTSTREAM_DEAD_LETTERS_SHARE_MAX_PERCENT"
    here = [item for item in letters if (item.message.topic, item.message.partition) == (topic, partition)]
    first = "".join(
        f"\n  offset {item.message.offset}: {item.defect}: {_printable(item.path)}: {item.reason}"
        for item in here[:REASONS_SHOWN]
    )
    return (
        f"{topic}/{partition}, offset {offset}: {what} ({setting}). Nothing of this batch was posted, and nothing is"
        f" lost. The first of it:{first}\n"
        "If these messages are right and Pointstream reads them wrongly, deploy the mended version and start it.\n"
        "If they are wrong, stop their sender; `pointstream dead-letters accept` with the topic then lets all that"
        " stands in it now become dead letters, to be mended and replayed; start the worker again.\n"
        f"If this is usual here, set {setting} higher."
    )


def _printable(text: str) -> str:
    """A path may end in a key from outside; nothing of it may give a terminal orders."""
    return "".join(character if character.isprintable() else "\ufffd" for character in text)
