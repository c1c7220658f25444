"""The work of an import: its rows are posted, or what is left of them is taken back, a batch at a time."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import islice
from typing import IO

from services.cli.import_file import FileRefusedError, Refused, Row, read_rows
from services.cli.import_report import RowReport
from shared.domain.ids import EventId
from shared.domain.model import Outcome
from shared.ledger import imports
from shared.ledger.adjustments import adjustment_of, event_of, read_adjustments
from shared.ledger.batch import Batch, Consumed
from shared.ledger.desk import Desk
from shared.ledger.imports import SOURCE, Import, ImportRefusedError, Revert
from shared.reads.adjustments import outcome_in_words

BATCH_ROWS = 1_000
"""Rows in one posting transaction: it takes some tenths of a second, so that workers do not wait long for a member."""

Advance = Callable[[int], None]
"""Shows how far the work has come."""

_Made = dict[EventId, tuple[Outcome, int]]
"""What adjustments came to: an outcome, and how many points moved."""

USED_BEFORE = "its id was used before for another adjustment, which stands (the same reference, or the same line)"


class Run:
    """Posts the rows of an import. In a dry run everything but that."""

    def __init__(self, desk: Desk, of: Import, refused: RowReport, *, dry_run: bool) -> None:
        self.of = of
        self.dry_run = dry_run
        self.rows = 0
        self.posted = 0
        self.before = 0
        self.points: Counter[str] = Counter()
        self._desk = desk
        self._refused = refused

    async def post_all(self, stream: IO[bytes], advance: Advance) -> None:
        """Post every row that can be posted, and report those that cannot. Raises `FileRefusedError`, and
        `ImportRefusedError` for one that was begun too long ago to go on with it."""
        now = await self._desk.now()
        program = self._desk.poster.programs.in_force(self.of.begun_at)
        if program is None:
            raise FileRefusedError("no version of the program is in force yet")
        if now - self.of.begun_at > program.late_tolerance_us:
            raise ImportRefusedError("it was begun too long ago; put what is missing into a file with another --id")
        with closing(read_rows(stream, self.of, program, now)) as rows:
            batch = list(islice(rows, BATCH_ROWS))
            if not self.dry_run:
                await imports.begin_import(self._desk.pool, self.of)
            while batch:
                self.rows += len(batch)
                await self._post(list(self._readable(batch)))
                advance(stream.tell())
                batch = list(islice(rows, BATCH_ROWS))

    def _readable(self, batch: list[Row | Refused]) -> Iterator[Row]:
        for row in batch:
            match row:
                case Row():
                    yield row
                case Refused():
                    self._refused.add(row.line, row.member_id, row.reference, row.reason)

    async def _post(self, rows: list[Row]) -> None:
        keys = [(SOURCE, row.consumed.event.ref.event_id) for row in rows]
        known = await read_adjustments(self._desk.pool, keys, self._desk.shards)
        fresh = [row for row, key in zip(rows, keys, strict=True) if key not in known]
        made = await made_of(self._desk, [row.consumed for row in fresh], dry_run=self.dry_run)
        for row, key in zip(rows, keys, strict=True):
            recorded = known.get(key)
            if recorded is not None and recorded.digest != row.consumed.digest:
                self._refuse(row, USED_BEFORE)
            elif recorded is not None and recorded.outcome is Outcome.POSTED:
                self.before += 1
            else:
                outcome = made[key[1]][0] if recorded is None else recorded.outcome
                self._count(row, outcome)

    def _count(self, row: Row, outcome: Outcome) -> None:
        if outcome is Outcome.POSTED:
            self.posted += 1
            self.points[row.adjustment.wallet] += row.adjustment.points
        else:
            self._refuse(row, f"{outcome_in_words(outcome)} ({outcome.value})")

    def _refuse(self, row: Row, reason: str) -> None:
        self._refused.add(row.line, row.adjustment.member_id, row.reference or "", reason)


class TakingBack:
    """Takes back what is left of an import's lots. What of them was spent, has ended or repaid a debt stays as it is,
    and is reported."""

    def __init__(self, desk: Desk, of: Import, revert: Revert, kept: RowReport, *, dry_run: bool) -> None:
        self.of = of
        self.dry_run = dry_run
        self.rows = 0
        self.taken: Counter[str] = Counter()
        self.left: Counter[str] = Counter()
        self._desk = desk
        self._revert = revert
        self._kept = kept

    async def take_all(self, advance: Advance) -> None:
        """Take back every row that gave points; doing it again goes on where it broke off."""
        pool, import_id = self._desk.pool, self.of.import_id
        if not self.dry_run:
            await imports.begin_revert(pool, import_id, self._revert)
        async for page in imports.rows_given(pool, import_id, BATCH_ROWS):
            now = await self._desk.now()
            takings = [imports.revert_of(given, import_id, self._revert, now) for given in page]
            events = [adjustment_of(event_of(SOURCE, name, taking), now) for name, taking in takings]
            keys = [(SOURCE, EventId(name)) for name, _ in takings]
            known = await read_adjustments(pool, keys, self._desk.shards)
            made: _Made = {event_id: (recorded.outcome, recorded.moved) for (_, event_id), recorded in known.items()}
            made |= await made_of(
                self._desk,
                [event for event in events if event.event.ref.event_id not in made],
                dry_run=self.dry_run,
            )
            for given, (name, _) in zip(page, takings, strict=True):
                moved = made[EventId(name)][1]
                self.rows += 1
                self.taken[given.wallet] += moved
                if moved < given.points:
                    self.left[given.wallet] += given.points - moved
                    self._kept.add(given.member_id, given.wallet, given.event_id, given.points, moved)
            advance(self.rows)


async def made_of(desk: Desk, events: list[Consumed], *, dry_run: bool) -> _Made:
    """Post adjustments that are new, or in a dry run only decide them; gives what each came to."""
    if not events:
        return {}
    if dry_run:
        planned = await desk.poster.rehearse(Batch(events=events))
        moved = {kept.event.ref.event_id: kept.moved for kept in planned.adjustments}
        return {
            item.event.ref.event_id: (outcome, moved[item.event.ref.event_id]) for item, outcome in planned.consumed
        }
    await desk.poster.post(Batch(events=events))
    keys = [(SOURCE, item.event.ref.event_id) for item in events]
    recorded = await read_adjustments(desk.pool, keys, desk.shards)
    return {event_id: (each.outcome, each.moved) for (_, event_id), each in recorded.items()}
