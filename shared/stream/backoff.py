"""How long to wait before something that is away is tried again."""

from dataclasses import dataclass

from aiokafka.errors import KafkaError

from shared.metrics import RECONNECTS, Server

FIRST_S = 0.1
LAST_S = 5.0


def count_away(error: BaseException) -> None:
    """Count that Kafka, or else PostgreSQL, was found away."""
    RECONNECTS.labels(Server.KAFKA if isinstance(error, KafkaError) else Server.POSTGRESQL).inc()


@dataclass(slots=True)
class Backoff:
    """Doubles from 0.1 s up to 5 s, and starts over after a success."""

    _next_s: float = FIRST_S

    def next_s(self) -> float:
        """How many seconds to wait this time."""
        wait_s, self._next_s = self._next_s, min(self._next_s * 2, LAST_S)
        return wait_s

    def succeeded(self) -> None:
        """Forget the failures."""
        self._next_s = FIRST_S
