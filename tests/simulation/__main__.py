"""Run interleavings by hand: `python -m tests.simulation SEED` replays one, `--count N` runs N from there on."""

import argparse
import sys
import time
from contextlib import nullcontext

from tests.simulation.bugs import BUGS
from tests.simulation.interleaving import run
from tests.simulation.system import stand_ins


def main() -> int:
    """Returns 1 when a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("seed", type=int, help="the interleaving to run")
    parser.add_argument("--count", type=int, default=1, help="how many seeds to run from there on")
    parser.add_argument("--bug", choices=[bug.__name__ for bug in BUGS], help="a bug to plant first")
    chosen = parser.parse_args()
    planted = next((bug() for bug in BUGS if bug.__name__ == chosen.bug), nullcontext())
    began_s, began_cpu_s = time.monotonic(), time.process_time()
    steps = 0
    with stand_ins(), planted:
        for seed in range(chosen.seed, chosen.seed + chosen.count):
            result = run(seed)
            steps += result.steps
            if result.failure:
                print(result.report())
                return 1
    seconds, cpu_seconds = time.monotonic() - began_s, time.process_time() - began_cpu_s
    print(
        f"{chosen.count} interleavings kept all promises: {chosen.count / seconds * 60:,.0f} a minute,"
        f" {cpu_seconds / chosen.count * 1000:.1f} ms of CPU and {steps / chosen.count:.0f} steps each"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
