"""The earn worker: what members did becomes points, and what is given back takes them back."""

from collections.abc import Callable
from typing import NoReturn

from shared.contracts.defect import Undecodable
from shared.contracts.inbound import CONTRACTS
from shared.domain.facts import Event
from shared.domain.ids import EventId, EventSource
from shared.ledger.batch import Consumed, DeadLetter, Message, arrival_of
from shared.settings import Settings
from shared.stream.app import run_worker
from shared.stream.ingest import Ingest

WORKER = "earn"


def ingest(settings: Settings) -> Ingest:
    """The service that reads what happened and posts what it comes to."""
    return Ingest(WORKER, [settings.topic(name) for name in CONTRACTS], decoder(settings), settings)


def run(settings: Settings) -> NoReturn:
    """Run the worker in the foreground until it is told to stop."""
    run_worker(WORKER, settings, lambda: ingest(settings))


def decoder(settings: Settings) -> Callable[[Message], Consumed | DeadLetter]:
    """How messages are read: each by its topic's contract."""
    decode_of = {settings.topic(name): contract.decode for name, contract in CONTRACTS.items()}

    def decode(message: Message) -> Consumed | DeadLetter:
        try:
            decoded = decode_of[message.topic](message.value, message.headers)
        except Undecodable as error:
            return DeadLetter(
                message,
                error.defect,
                error.path,
                error.reason,
                None if error.source is None else EventSource(error.source),
                None if error.event_id is None else EventId(error.event_id),
            )
        return Consumed(Event(decoded.ref, arrival_of(message), decoded.fact), decoded.digest, message)

    return decode
