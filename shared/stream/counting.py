"""Counting what became of batches, once for each batch and never for each event."""

from shared.ledger.batch import CONFLICTING_DUPLICATE, Batch, Posted
from shared.metrics import (
    BATCH_EVENTS,
    BATCH_SECONDS,
    DEAD_LETTER,
    DEAD_LETTERS,
    DUPLICATE,
    EVENTS,
    POSTINGS,
)


def count_batch(batch: Batch, posted: Posted, seconds: float) -> None:
    """Count a batch that was committed."""
    BATCH_EVENTS.observe(len(batch.events) + len(batch.sweeps) + len(batch.dead_letters))
    BATCH_SECONDS.observe(seconds)
    for kind, postings in posted.kinds.items():
        POSTINGS.labels(kind).inc(postings)


def count_events(topic: str, batch: Batch, posted: Posted) -> None:
    """Count what became of the messages of a committed batch; all of them came from `topic`."""
    for outcome, events in posted.outcomes.items():
        EVENTS.labels(topic, outcome).inc(events)
    EVENTS.labels(topic, DUPLICATE).inc(posted.duplicates)
    EVENTS.labels(topic, DEAD_LETTER).inc(posted.dead_letters)
    for letter in batch.dead_letters:
        DEAD_LETTERS.labels(topic, letter.defect).inc()
    DEAD_LETTERS.labels(topic, CONFLICTING_DUPLICATE).inc(posted.dead_letters - len(batch.dead_letters))
