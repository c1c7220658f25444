"""Rows are written in one order by all workers, so that no two batches wait for each other's."""

from dataclasses import replace

from shared.domain.ids import EventId, EventSource
from shared.domain.model import Outcome
from shared.ledger.batch import Consumed
from shared.ledger.rows import rows_of_consumed
from tests.support.orders import consumed


def of(source: str, event_id: str) -> Consumed:
    item = consumed("o-1", event_id=event_id)
    ref = replace(item.event.ref, source=EventSource(source), event_id=EventId(event_id))
    return replace(item, event=replace(item.event, ref=ref))


def test_events_are_written_in_the_order_of_their_keys_however_they_came() -> None:
    items = [of(source, f"e-{number}") for source in ("/b", "/a") for number in (3, 1, 2)]
    keys = [row[1:3] for row in rows_of_consumed([(item, Outcome.POSTED) for item in items], 1)]
    assert keys == [(source, f"e-{number}") for source in ("/a", "/b") for number in (1, 2, 3)]
    several = rows_of_consumed([(item, Outcome.POSTED) for item in items], 4)
    assert several == rows_of_consumed([(item, Outcome.POSTED) for item in reversed(items)], 4)
    assert [row[0] for row in several] == sorted(row[0] for row in several)
