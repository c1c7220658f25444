"""What an import says in the end: sums, and every row for which something is to be said."""

import csv
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

from rich.text import Text

from services.cli.config import console, errors, fail
from services.cli.plain import plain
from services.cli.tables import Table

SHOWN_MAX = 20
"""Rows on a terminal; a file has them all."""

JSON_MAX = 10_000
"""Rows in a JSON document, which is made in memory; a file has them all."""


class RowReport:
    """Rows for which something is to be said: all go to a file, where one is wanted, and the first ones are kept."""

    def __init__(self, columns: Sequence[str], path: Path | None) -> None:
        self.columns = columns
        self.count = 0
        self.first: list[tuple[object, ...]] = []
        self._path = path
        self._open = ExitStack()

    def __enter__(self) -> "RowReport":
        if self._path is not None:
            try:
                stream = self._open.enter_context(self._path.open("w", encoding="utf-8", newline=""))
            except OSError as error:
                fail(f"{self._path} cannot be written: {error.strerror}")
            self._writer = csv.writer(stream)
            self._writer.writerow(self.columns)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    def add(self, *cells: object) -> None:
        """Say something of a row."""
        self.count += 1
        if len(self.first) < JSON_MAX:
            self.first.append(cells)
        if self._path is not None:
            self._writer.writerow(cells)

    def documents(self) -> list[dict[str, object]]:
        """The first rows, for JSON."""
        return [dict(zip(self.columns, cells, strict=True)) for cells in self.first]

    def show(self, title: str, option: str) -> None:
        """Show the first rows to a person; nothing where there are none."""
        if not self.count:
            return
        table = Table(*self.columns, title=title, title_justify="left")
        for cells in self.first[:SHOWN_MAX]:
            table.add_row(*(Text(plain(str(cell))) for cell in cells))
        errors.print(table)
        if self.count > SHOWN_MAX:
            where = f"{self._path} has" if self._path is not None else f"{option} FILE writes"
            errors.print(f"… and {self.count - SHOWN_MAX:,} more; {where} them all.", highlight=False)


def points_in_words(points: Counter[str]) -> str:
    """Points by wallet: `1,200 points, 5 growth`."""
    return ", ".join(f"{amount:,} {plain(wallet)}" for wallet, amount in sorted(points.items())) or "nothing"


def say(text: str) -> None:
    """A sentence for a person, on standard output."""
    console.print(text, highlight=False, markup=False, soft_wrap=True)
