"""Tables at the width of a plain terminal."""

import io

from rich.console import Console

from services.cli.letter_view import show_list
from services.cli.tables import Table
from shared.domain.time import Instant

EVENT_ID = "4f1c6a52-77be-4e0b-9a3d-order-paid"
SOURCE = "/shop/online/eu-west/checkout"
TOPIC = "pointstream.order-paid"


def columns(text: str) -> list[str]:
    """What stands in each column, its lines put together without the spaces."""
    rows = [line.strip("│┃").replace("┃", "│").split("│") for line in text.splitlines() if "│" in line]
    return ["".join(cell.strip() for cell in column) for column in zip(*rows, strict=True)]


def test_a_list_of_dead_letters_shows_whole_ids() -> None:
    out = Console(file=io.StringIO(), width=80)
    row = {
        "letter_id": 17,
        "state": "new",
        "defect": "lines_do_not_add_up",
        "path": "data.lines[12].paid_in_points",
        "recorded_at": Instant(0),
        "topic": TOPIC,
        "partition": 31,
        "offset": 1_234_567,
        "source": SOURCE,
        "event_id": EVENT_ID,
    }
    show_list(out, [row], 50)  # type: ignore[list-item]
    text = out.file.getvalue()  # type: ignore[attr-defined]
    assert "…" not in text
    letter, state, defect, path, _, came_from, event = columns(text)
    assert (letter, state, defect) == ("17", "new", "lines_do_not_add_up")
    assert path == "data.lines[12].paid_in_points"
    assert came_from == f"{TOPIC}/31/1234567"
    assert EVENT_ID in event
    assert SOURCE in event


def test_a_column_that_is_added_later_is_whole_too() -> None:
    out = Console(file=io.StringIO(), width=20)
    table = Table("member")
    table.add_column("order")
    table.add_row("m" * 30, "o" * 30)
    out.print(table)
    assert columns(out.file.getvalue()) == ["m" * 30, "o" * 30]  # type: ignore[attr-defined]
