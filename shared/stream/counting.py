"""Counting what became of batches, once for each batch and never for each event."""

from collections.abc import Callable

from shared.ledger.batch import Batch, Posted
from shared.metrics import BATCH_EVENTS, BATCH_SECONDS, DEAD_LETTERS, EVENTS, POSTINGS


def count_batch(batch: Batch, posted: Posted, seconds: float) -> None:
    """Count a batch that was committed."""
    BATCH_EVENTS.observe(len(batch.events) + len(batch.sweeps) + len(batch.dead_letters))
    BATCH_SECONDS.observe(seconds)
    for kind, postings in posted.kinds.items():
        POSTINGS.labels(kind).inc(postings)


def count_events(posted: Posted, name_of: Callable[[str], str]) -> None:
    """Count what became of the messages of a committed batch; `name_of` gives the short name of a topic."""
    for (topic, outcome), events in posted.events.items():
        EVENTS.labels(name_of(topic), outcome).inc(events)
    for (topic, defect), letters in posted.defects.items():
        DEAD_LETTERS.labels(name_of(topic), defect).inc(letters)
