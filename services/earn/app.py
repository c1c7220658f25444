"""The earn worker: paid orders become points."""

from typing import NoReturn

from shared.contracts.defect import Undecodable
from shared.contracts.order_paid import decode
from shared.domain.ids import EventId, EventSource
from shared.domain.model import OrderPaid
from shared.ledger.batch import Consumed, DeadLetter, Message, arrival_of
from shared.settings import ORDER_PAID, Settings
from shared.stream.app import run_worker
from shared.stream.ingest import Ingest

WORKER = "earn"


def ingest(settings: Settings) -> Ingest:
    """The service that reads paid orders and posts what they earn."""
    return Ingest(WORKER, [settings.topic(ORDER_PAID)], decode_message, settings)


def run(settings: Settings) -> NoReturn:
    """Run the worker in the foreground until it is told to stop."""
    run_worker(WORKER, settings, lambda: ingest(settings))


def decode_message(message: Message) -> Consumed | DeadLetter:
    """The order in a message, or a dead letter that says what is wrong with it."""
    try:
        decoded = decode(message.value, message.headers)
    except Undecodable as error:
        return DeadLetter(
            message,
            error.defect,
            error.path,
            error.reason,
            None if error.source is None else EventSource(error.source),
            None if error.event_id is None else EventId(error.event_id),
        )
    return Consumed(OrderPaid(decoded.ref, arrival_of(message), decoded.order), decoded.digest, message)
