"""The earn worker: what members did becomes points, and what is given back takes them back."""

from collections.abc import Mapping
from typing import NoReturn

from shared.contracts.inbound import CONTRACTS
from shared.ledger.batch import Decode
from shared.settings import Settings
from shared.stream.app import run_worker
from shared.stream.ingest import Ingest

WORKER = "earn"


def ingest(settings: Settings) -> Ingest:
    """The service that reads what happened and posts what it comes to."""
    return Ingest(WORKER, decoders(settings), settings)


def run(settings: Settings) -> NoReturn:
    """Run the worker in the foreground until it is told to stop."""
    run_worker(WORKER, settings, lambda: ingest(settings))


def decoders(settings: Settings) -> Mapping[str, Decode]:
    """How the messages of each topic are read: by its contract."""
    return {settings.topic(name): contract.decode for name, contract in CONTRACTS.items()}
