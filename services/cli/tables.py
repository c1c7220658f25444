"""Tables on a terminal."""

from rich import table
from rich.console import Console, ConsoleOptions, RenderResult


class Table(table.Table):  # noqa: TID251 this is the one
    """A table that cuts nothing off: what is too long for its column, such as an id, goes on in the next line."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for column in self.columns:
            column.overflow = "fold"
        yield from super().__rich_console__(console, options)
