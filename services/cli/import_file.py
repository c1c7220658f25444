"""The file of an import: CSV, read row by row, each with what is wrong with it."""

import csv
import re
import sqlite3
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from datetime import date
from io import TextIOWrapper
from typing import IO, Protocol

from services.cli.wording import count
from shared.contracts.defect import Undecodable
from shared.domain.facts import Adjustment
from shared.domain.ids import MemberId, Wallet
from shared.domain.program import Program
from shared.domain.time import Instant
from shared.ledger.adjustments import adjustment_of, event_of
from shared.ledger.batch import Consumed
from shared.ledger.imports import SOURCE, Import, row_id

COLUMNS = ("member_id", "points", "expires_on", "wallet", "reference")
NEEDED = ("member_id", "points")

REFERENCE_CHARS_MAX = 100
"""It becomes a part of two ids, which have room for 128."""

_DIGITS = re.compile(r"[0-9]{1,19}")

LAST_EXPIRY_YEAR = 2099
"""What an instant of an event can have, a day later in any zone."""


class FileRefusedError(Exception):
    """A file is no import at all; the message says why."""


@dataclass(frozen=True, slots=True)
class Row:
    """A row that can be posted."""

    line: int
    reference: str | None
    consumed: Consumed
    adjustment: Adjustment


@dataclass(frozen=True, slots=True)
class Refused:
    """A row that cannot, and why."""

    line: int
    member_id: str
    reference: str
    reason: str


class _RefusedError(Exception):
    """A row cannot be posted; the message says why."""


def read_rows(stream: IO[bytes], of: Import, program: Program, now: Instant) -> Generator[Row | Refused, None, None]:
    """The rows of a file, as they stand. Nothing but references is kept of those before, and these on disk. Close it
    before the file.

    Raises `FileRefusedError` where the first line does not name the columns.
    """
    # What is no UTF-8 comes as surrogates, which no row may have: one bad byte costs one row.
    text = TextIOWrapper(stream, encoding="utf-8-sig", errors="surrogateescape", newline="")
    try:
        yield from _rows(csv.reader(text, strict=True), of, program, now)
    finally:
        # The file is its opener's to close.
        text.detach()


def _rows(lines: "_Lines", of: Import, program: Program, now: Instant) -> Iterator[Row | Refused]:
    columns = _columns(lines)
    seen = _References()
    while True:
        line = lines.line_num + 1
        try:
            cells = next(lines)
        except StopIteration:
            return
        except csv.Error as error:
            lost = _lost(line + 1, lines.line_num)
            yield Refused(line, "", "", f"it could not be read as CSV: {error}{lost}")
            continue
        if not cells:
            continue
        named = dict(zip(columns, cells, strict=False))
        try:
            if len(cells) != len(columns):
                raise _RefusedError(
                    f"it has {count(len(cells), 'cell')}, and the first line names {count(len(columns), 'column')}"
                )
            yield _row(line, named, seen, of, program, now)
        except _RefusedError as error:
            yield Refused(line, _shown(named.get("member_id")), _shown(named.get("reference")), str(error))


def _lost(first: int, last: int) -> str:
    """What is said of the lines that a broken one has swallowed; nothing where there are none."""
    if last < first:
        return ""
    return f"; nor could line {first}" if first == last else f"; nor could lines {first} to {last}"


def _columns(lines: Iterator[list[str]]) -> list[str]:
    known = f"the columns are {', '.join(COLUMNS)}, of which the first two are needed"
    try:
        columns = next(lines, [])
    except csv.Error as error:
        raise FileRefusedError(f"the first line is no CSV: {error}; {known}") from None
    odd = [name for name in columns if name not in COLUMNS]
    if odd:
        raise FileRefusedError(f"the first line has {_shown(odd[0])!r}: {known}, with commas between them")
    if len(set(columns)) != len(columns) or not set(NEEDED) <= set(columns):
        raise FileRefusedError(f"the first line has to name the columns, each once: {known}")
    return columns


def _row(line: int, cells: dict[str, str], seen: "_References", of: Import, program: Program, now: Instant) -> Row:
    if any("\ud800" <= character <= "\udfff" for cell in cells.values() for character in cell):
        raise _RefusedError("it is not in UTF-8")
    member_id = cells["member_id"]
    if member_id != member_id.strip():
        raise _RefusedError(f"member_id: {member_id!r} has spaces around it")
    wallet = Wallet(cells.get("wallet") or of.wallet)
    if wallet not in program.wallets:
        raise _RefusedError(f"wallet: the program has no wallet {wallet!r}")
    points = _points(cells["points"])
    expires_at = _end(cells.get("expires_on", ""), program, now)
    reference = cells.get("reference") or None
    if reference is not None:
        if len(reference) > REFERENCE_CHARS_MAX:
            raise _RefusedError(f"reference: it has more than {REFERENCE_CHARS_MAX} characters")
        first = seen.first_line(reference, line)
        if first != line:
            raise _RefusedError(f"reference: line {first} has it already")
    adjustment = Adjustment(
        MemberId(member_id), wallet, points, of.actor, of.reason, of.begun_at, expires_at, import_id=of.import_id
    )
    try:
        event = event_of(SOURCE, row_id(of.import_id, reference, line), adjustment)
        return Row(line, reference, adjustment_of(event, now), adjustment)
    except Undecodable as error:
        raise _RefusedError(f"{error.path.removeprefix('data.')}: {error.reason}") from None


def _points(text: str) -> int:
    if not _DIGITS.fullmatch(text):
        raise _RefusedError(f"points: {text!r} is no number of points; write it like 1200")
    if int(text) == 0:
        raise _RefusedError("points: 0 gives nothing; leave the row out")
    return int(text)


def _end(text: str, program: Program, now: Instant) -> Instant | None:
    if not text:
        return None
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise _RefusedError(f"expires_on: {text!r} is no day; write it like 2026-12-31") from None
    if day.year > LAST_EXPIRY_YEAR:
        raise _RefusedError(f"expires_on: {LAST_EXPIRY_YEAR} is the last year there is; empty is the wallet's own end")
    ends = program.calendar.end_of(day)
    if ends <= now:
        raise _RefusedError(f"expires_on: {text} is over, the points would have ended already")
    return ends


def _shown(text: str | None) -> str:
    return (text or "").encode(errors="replace").decode()


class _Lines(Protocol):
    """A reader of the `csv` module."""

    @property
    def line_num(self) -> int: ...

    def __iter__(self) -> Iterator[list[str]]: ...

    def __next__(self) -> list[str]: ...


class _References:
    """On which line each reference stands first: in a temporary file, since a million of them would fill the memory."""

    def __init__(self) -> None:
        self._known = sqlite3.connect("")
        self._known.execute("PRAGMA journal_mode = OFF")
        self._known.execute("CREATE TABLE seen (reference TEXT PRIMARY KEY, line INTEGER) WITHOUT ROWID")

    def first_line(self, reference: str, line: int) -> int:
        """The first line with a reference, which is `line` for a new one."""
        if self._known.execute("INSERT OR IGNORE INTO seen VALUES (?, ?)", (reference, line)).rowcount:
            return line
        (first,) = self._known.execute("SELECT line FROM seen WHERE reference = ?", (reference,)).fetchone()
        return int(first)
