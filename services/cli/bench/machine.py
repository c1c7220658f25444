"""What the machine spends: processor time and memory of processes, and how fast it is at this moment."""

import time
from collections.abc import Mapping

import psutil


def cpu_seconds(pids: Mapping[str, int]) -> dict[str, float]:
    """User and system time of processes, with all that they ever started."""
    found = {}
    for name, pid in pids.items():
        process = psutil.Process(pid)
        times = [process.cpu_times(), *(child.cpu_times() for child in process.children(recursive=True))]
        ended = times[0].children_user + times[0].children_system
        found[name] = sum(used.user + used.system for used in times) + ended
    return found


def memory_mb(pids: Mapping[str, int]) -> dict[str, float]:
    """Resident memory of processes with their children, in MB. Pages that processes share count for each of them."""
    found = {}
    for name, pid in pids.items():
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
        found[name] = sum(one.memory_info().rss for one in family) / 1e6
    return found


def calibrate_ms() -> float:
    """How long this machine takes to count to a million: the least of ten times."""
    least = float("inf")
    for _ in range(10):
        began = time.perf_counter()
        for _ in range(1_000_000):
            pass
        least = min(least, time.perf_counter() - began)
    return least * 1000
