"""Processes of an installation as they run in production, and what they say of themselves over HTTP."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from math import nan
from pathlib import Path

import httpx
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from services.cli.processes import as_environment
from shared.metrics import Process
from shared.settings import Settings

PROJECT = Path(__file__).parent.parent.parent
START_S = 60.0
STOP_S = 15.0


class Watched:
    """A process that tells its metrics and health at `url`."""

    def __init__(self, url: str, serves: str = "") -> None:
        self.url = url
        self.serves = serves
        """Where the API answers."""

    async def get(self, path: str) -> httpx.Response:
        """What it answers at a path."""
        async with httpx.AsyncClient(timeout=START_S) as client:
            return await client.get(f"{self.url}{path}")

    async def families(self) -> dict[str, Metric]:
        """Its metrics by name, as Prometheus reads them. A counter's name is without `_total` there."""
        answer = await self.get("/metrics")
        assert answer.status_code == 200
        assert answer.headers["Content-Type"].startswith("text/plain")
        return {family.name: family for family in text_string_to_metric_families(answer.text)}

    async def value(self, name: str, **labels: str) -> float:
        """The value of one series; nan, which equals nothing, while it is not there."""
        for family in (await self.families()).values():
            for sample in family.samples:
                if sample.name == name and sample.labels == labels:
                    return sample.value
        return nan

    async def values(self, name: str, label: str) -> dict[str, float]:
        """The values that are not zero of all series of a name, by one of their labels."""
        samples = [sample for family in (await self.families()).values() for sample in family.samples]
        return {sample.labels[label]: sample.value for sample in samples if sample.name == name and sample.value}


@asynccontextmanager
async def running_processes(settings: Settings, logs: Path) -> AsyncIterator[Mapping[Process, Watched]]:
    """All processes of an installation for as long as the block lasts, on free ports, logging into a folder."""
    async with AsyncExitStack() as cleanup:
        children = {
            process: await cleanup.enter_async_context(_running(process, settings, logs / f"{process}.log"))
            for process in Process
        }
        found = {}
        async with asyncio.timeout(START_S):
            for process, child in children.items():
                log = logs / f"{process}.log"
                metrics = await _said(child, log, "watched", "metrics")
                serves = await _said(child, log, "serving", "url") if process is Process.API else ""
                found[process] = Watched(metrics.removesuffix("/metrics"), serves)
        yield found


@asynccontextmanager
async def _running(process: Process, settings: Settings, log: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    ports = {f"POINTSTREAM_{name.upper()}_METRICS_PORT": "0" for name in Process} | {"POINTSTREAM_API_PORT": "0"}
    with log.open("wb") as stderr:
        child = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "services.cli.main",
            "run",
            process.value,
            cwd=PROJECT,
            env={
                **os.environ,
                **as_environment(settings),
                **ports,
                "POINTSTREAM_LOG_JSON": "1",
            },
            stderr=stderr,
        )
    try:
        yield child
    finally:
        if child.returncode is None:
            child.terminate()
            await asyncio.wait_for(child.wait(), STOP_S)


async def _said(child: asyncio.subprocess.Process, log: Path, event: str, key: str) -> str:
    """What a process has logged under a key with an event."""
    while (found := _logged(log, event)) is None:
        assert child.returncode is None, f"it ended; see {log}"
        await asyncio.sleep(0.02)
    return found[key]


def _logged(log: Path, event: str) -> dict[str, str] | None:
    entries = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    return next((entry for entry in entries if entry["event"] == event), None)
