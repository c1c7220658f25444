"""Dead letters for a person to read, and as JSON."""

from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from rich.console import Console
from rich.table import Column
from rich.text import Text

from services.cli.mending import Verdict
from services.cli.tables import Table
from services.cli.wording import count
from shared.domain.time import Instant, rfc3339
from shared.ledger.batch import Message, arrival_of
from shared.ledger.database import Record
from shared.ledger.letters import Letter, what_became

VALUE_CHARS_SHOWN = 2_000
"""An order of three lines has some 600; all of a longer one is had by `show --value`."""

Document = Mapping[str, object]
Say = Callable[..., None]


def show_list(out: Console, letters: Sequence[Record], letters_max: int) -> None:
    """Print letters as a table, with how many have which defect."""
    table = Table(Column("letter", justify="right"), "state", "defect", "path", "kept at", "from", "event")
    for row in letters:
        table.add_row(
            str(row["letter_id"]),
            row["state"],
            row["defect"],
            Text(plain(row["path"])),
            rfc3339(row["recorded_at"])[:19] + "Z",
            f"{row['topic']}/{row['partition']}/{row['offset']}",
            Text(plain(_event(row["source"], row["event_id"]))),
        )
    out.print(table)
    defects = Counter(row["defect"] for row in letters).most_common()
    summary = ", ".join(f"{times} {defect}" for defect, times in defects)
    more = " There may be more: --limit shows them." if len(letters) == letters_max else ""
    out.print(f"{count(len(letters), 'letter')}: {summary}.{more}", highlight=False)


def list_document(letters: Sequence[Record]) -> list[Document]:
    """Letters as JSON."""
    return [{name: _json(name, value) for name, value in row.items()} for row in letters]


def show_letter(out: Console, letter: Letter, first: Letter, actions: Sequence[Record], verdict: Verdict) -> None:
    """Print all about a letter."""

    def say(*parts: str) -> None:
        out.print(Text("".join(parts)), soft_wrap=True)

    came = letter.came
    say(f"Letter {letter.letter_id}: ", what_became(letter))
    say(f"  {letter.defect} at {plain(letter.path)}: {plain(letter.reason)}")
    say(f"  from {came.topic}/{came.partition}, offset {came.offset}; it arrived at {_at(arrival_of(came))}")
    say(f"  event {plain(_event(letter.source, letter.event_id))}; key {_shown(came.key)}")
    if first.letter_id != letter.letter_id:
        place = f"{first.came.topic}/{first.came.partition}, offset {first.came.offset}"
        say(f"  a replay of letter {letter.origin_letter_id}; all of it goes back to letter {first.letter_id}, {place}")
    say("  the contract ", said(verdict))
    for row in actions:
        say(f"  {_at(row['recorded_at'])} {row['action']} by {plain(row['actor'])}: {plain(row['why'])}")
    _show_message(say, "As it came", came)
    if letter.mended is not letter.came:
        _show_message(say, "As it is now", letter.mended)


def letter_document(letter: Letter, first: Letter, actions: Sequence[Record], verdict: Verdict) -> Document:
    """All about a letter as JSON."""
    came = letter.came
    return {
        "letter_id": letter.letter_id,
        "state": letter.state,
        "what_became": what_became(letter),
        "topic": came.topic,
        "partition": came.partition,
        "offset": came.offset,
        "arrived_at": _at(arrival_of(came)),
        "recorded_at": _at(letter.recorded_at),
        "defect": letter.defect,
        "path": letter.path,
        "reason": letter.reason,
        "source": letter.source,
        "event_id": letter.event_id,
        "origin_letter_id": letter.origin_letter_id,
        "first": {
            "letter_id": first.letter_id,
            "topic": first.came.topic,
            "partition": first.came.partition,
            "offset": first.came.offset,
        },
        "returned_as": letter.returned_as,
        "outcome": letter.outcome,
        "counted_at": None if letter.counted_at is None else _at(letter.counted_at),
        "contract": verdict_document(verdict),
        "actions": [{name: _json(name, value) for name, value in row.items()} for row in actions],
        "came": _message_document(came),
        "mended": None if letter.mended is came else _message_document(letter.mended),
    }


def said(verdict: Verdict) -> str:
    """A verdict in words."""
    if verdict.event is None:
        return f"refuses it: {plain(verdict.path)}: {plain(verdict.reason)}"
    return f"accepts it now, as {plain(_event(verdict.event.source, verdict.event.event_id))}"


def verdict_document(verdict: Verdict) -> Document:
    """A verdict as JSON."""
    if verdict.event is None:
        return {"accepted": False, "defect": verdict.defect, "path": verdict.path, "reason": verdict.reason}
    return {"accepted": True, "source": verdict.event.source, "event_id": verdict.event.event_id}


def plain(text: str) -> str:
    """A text from outside as it may be shown: nothing that a terminal would obey."""
    return "".join(character if character.isprintable() else "\ufffd" for character in text)


def _show_message(say: Say, title: str, message: Message) -> None:
    say(f"{title}:")
    for name, value in message.headers:
        say(f"  {plain(name)}: {_shown(value)}")
    say("  ", _shown(message.value))


def _shown(value: bytes | None) -> str:
    if value is None:
        return "(none)"
    text = plain(value[: VALUE_CHARS_SHOWN * 4].decode(errors="replace"))
    cut = len(text) > VALUE_CHARS_SHOWN or len(value) > VALUE_CHARS_SHOWN * 4
    return f"{text[:VALUE_CHARS_SHOWN]}… ({len(value)} bytes in all)" if cut else text


def _message_document(message: Message) -> Document:
    return {
        "key_base64": _base64(message.key),
        "headers": [{"name": name, "value": _text(value), "base64": _base64(value)} for name, value in message.headers],
        "value": _text(message.value),
        "value_base64": _base64(message.value),
    }


def _text(value: bytes | None) -> str | None:
    """Bytes as text, or None where they are none."""
    try:
        return None if value is None else value.decode()
    except UnicodeDecodeError:
        return None


def _base64(value: bytes | None) -> str | None:
    return None if value is None else b64encode(value).decode()


def _event(source: str | None, event_id: str | None) -> str:
    return "(unknown)" if event_id is None else f"{source} {event_id}"


def _at(instant: Instant) -> str:
    return rfc3339(instant)


def _json(name: str, value: object) -> object:
    return rfc3339(Instant(value)) if name.endswith("_at") and isinstance(value, int) else value
