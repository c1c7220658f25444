"""Workers are Faust apps: Faust gives them a supervised life, aiokafka their events (DESIGN 1).

Faust's own consumer, producer and web server stay off: its agents acknowledge events that were never processed, and
its web server listens on every address.
"""

import gc
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import faust
import uvloop
from faust.app.base import BootStrategy
from mode import Service, ServiceT

from shared.settings import Settings

STOP_TIMEOUT_S = 8.0
"""What a service may take to stop by itself; the whole process is gone within 10 s."""


class _Boot(BootStrategy):
    enable_kafka_consumer = False
    enable_kafka_producer = False
    enable_web = False


class WorkerApp(faust.App):
    """A Faust app that hosts services and none of Faust's own transports."""

    BootStrategy = _Boot


def worker_app(name: str, settings: Settings) -> WorkerApp:
    """An app for the worker `name` of the installation; give it services with `app.service`."""
    return WorkerApp(
        settings.group(name),
        broker=f"kafka://{settings.kafka}",
        datadir=Path(tempfile.gettempdir()) / f"pointstream-{settings.group(name)}",
        web_enabled=False,
        stream_wait_empty=False,
    )


def run_worker(name: str, settings: Settings, make_service: Callable[[], Service]) -> NoReturn:
    """Run a service as the worker `name`, in the foreground, until SIGTERM or SIGINT; exits the process."""
    uvloop.install()
    app = worker_app(name, settings)

    class _Hosted(faust.Worker):
        def on_init_dependencies(self) -> "list[ServiceT]":
            return [*super().on_init_dependencies(), make_service()]

    gc.freeze()
    gc.set_threshold(100_000, 50, 100)
    _let_garbage_wait()
    worker = _Hosted(app, override_logging=False, redirect_stdouts=False, quiet=True)
    worker.spinner = None
    worker.execute_from_commandline()
    raise SystemExit(0)


def _let_garbage_wait() -> None:
    """A batch makes tens of thousands of objects that all go with it, and hardly a cycle: the collector's passes over
    them, and over all that was imported, cost a worker a tenth of its time and free nothing."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)
