"""Workers are Faust apps: Faust gives them a supervised life, aiokafka their events (DESIGN 1).

Faust's own consumer, producer and web server stay off: its agents acknowledge events that were never processed, and
its web server listens on every address.
"""

import tempfile
from abc import abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import faust
import uvloop
from faust.app.base import BootStrategy
from mode import Service, ServiceT

from shared.garbage import let_garbage_wait
from shared.listening import PortTakenError
from shared.metrics import Process
from shared.monitor import Monitor, Readiness, monitor_of
from shared.settings import Settings

STOP_TIMEOUT_S = 8.0
"""What a service may take to stop by itself; the whole process is gone within 10 s."""


class WorkerService(Service):
    """What a worker hosts: a service that knows whether it can do its work."""

    @abstractmethod
    async def readiness(self) -> Readiness:
        """Whether it can do its work now."""


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


def run_worker(name: str, settings: Settings, make_service: Callable[[], WorkerService]) -> NoReturn:
    """Run a service as the worker `name`, in the foreground, until SIGTERM or SIGINT; exits the process."""
    uvloop.install()
    app = worker_app(name, settings)

    class _Hosted(faust.Worker):
        def on_init_dependencies(self) -> "list[ServiceT]":
            service = make_service()
            monitor = monitor_of(Process(name), settings, service.readiness)
            return [*super().on_init_dependencies(), _Watched(monitor), service]

    let_garbage_wait()
    worker = _Hosted(app, override_logging=False, redirect_stdouts=False, quiet=True)
    worker.spinner = None
    worker.execute_from_commandline()
    raise SystemExit(0)


class _Watched(Service):
    """Keeps a monitor for as long as the worker runs."""

    def __init__(self, monitor: Monitor) -> None:
        super().__init__()
        self._monitor = monitor

    async def on_start(self) -> None:
        try:
            await self._monitor.start()
        except PortTakenError as error:
            raise SystemExit(str(error)) from error

    async def on_stop(self) -> None:
        await self._monitor.stop()
