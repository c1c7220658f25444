"""How long events wait for their posting."""

from collections.abc import Iterator
from contextlib import contextmanager

from shared.clock import wall_clock
from shared.domain.time import SECOND_US, Instant
from shared.ledger.batch import Batch, arrival_of


class EventLag:
    """The oldest event that a worker has read and not yet posted. What failed counts until it is read again."""

    def __init__(self) -> None:
        self._posting: dict[int, Batch] = {}
        self._failed_since: Instant | None = None

    @contextmanager
    def of(self, batch: Batch) -> Iterator[None]:
        """Count a batch as waiting for as long as the block lasts, and longer where it fails."""
        self._posting[id(batch)] = batch
        try:
            yield
        except BaseException:
            self._failed_since = min(self._arrivals([batch]), default=None)
            raise
        finally:
            del self._posting[id(batch)]

    def read_again(self) -> None:
        """What failed will come again, if it has to."""
        self._failed_since = None

    def seconds(self) -> float:
        """Seconds since the oldest one arrived; 0 when none waits. Only someone who looks pays for it.

        It is asked by the thread that serves the metrics, so it works on a copy.
        """
        waiting = self._arrivals(list(self._posting.values()))
        return max(0.0, (wall_clock() - min(waiting)) / SECOND_US) if waiting else 0.0

    def _arrivals(self, batches: list[Batch]) -> list[Instant]:
        failed_since = self._failed_since
        return [
            *(arrival_of(item.message) for batch in batches for item in batch.events),
            *(arrival_of(item.message) for batch in batches for item in batch.dead_letters),
            *(() if failed_since is None else (failed_since,)),
        ]
