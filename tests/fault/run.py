"""Fault rounds at length, on a stack of their own: `make faults`.

python -m tests.fault.run --rounds 200 --seed 1000
python -m tests.fault.run --rounds 1 --seed 1017          the round of one seed again
python -m tests.fault.run --rounds 20 --seed 1 --only "Kafka killed"
"""

import argparse
import asyncio
import json
import os
import signal
import sys
import time
from collections import defaultdict
from dataclasses import asdict
from pathlib import Path

from rich.console import Console

from services.cli.tables import Table
from shared.logging import quiet_libraries
from tests.fault.faults import Fault
from tests.fault.round import Outcome, play, prepared
from tests.fault.servers import Servers, brought_up

PROJECT = Path(__file__).parent.parent.parent
OUTAGES_S = (5.0, 20.0, 60.0)
SECONDS_PER_ROUND_MAX = 60
"""On the average; a machine that needs longer is stuck, and the rest of the rounds is given up."""

console = Console(width=150)


def main() -> None:
    """Play the rounds, and exit with 1 when one has failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=200, help="how many (default: 200)")
    parser.add_argument("--seed", type=int, help="of the first round; the next ones have the next seeds")
    parser.add_argument("--only", type=Fault, help="this fault in all rounds: " + ", ".join(Fault))
    parser.add_argument("--json", type=Path, help="write all outcomes to this file")
    arguments = parser.parse_args()
    quiet_libraries()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # the stack goes with us, however we end
    seed = int(time.time()) % 1_000_000 if arguments.seed is None else arguments.seed
    with brought_up(PROJECT / ".pointstream" / f"faults-{os.getpid()}") as servers:
        outcomes = asyncio.run(play_all(servers, range(seed, seed + arguments.rounds), arguments.only))
    show(outcomes)
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(outcome) for outcome in outcomes], indent=2) + "\n")
    missing = arguments.rounds - len(outcomes)
    if missing:
        console.print(f"{missing} rounds were given up: the time was over", style="red")
    sys.exit(1 if missing or any(outcome.failures for outcome in outcomes) else 0)


async def play_all(servers: Servers, seeds: range, only: Fault | None) -> list[Outcome]:
    """Play a round for each seed, a line for each."""
    outcomes = []
    deadline_s = time.monotonic() + 120 + len(seeds) * SECONDS_PER_ROUND_MAX
    async with prepared(servers, PROJECT / ".pointstream" / "fault-logs", OUTAGES_S) as ring:
        for seed in seeds:
            if time.monotonic() > deadline_s:
                break
            outcome = await play(ring, seed, only)
            outcomes.append(outcome)
            tell(outcome)
    return outcomes


def tell(outcome: Outcome) -> None:
    """A line for a round, and one for each failure."""
    result = "FAILED" if outcome.failures else "ok"
    line = f"{outcome.seed:>8}  {outcome.fault:<26} {outcome.seconds:6.1f} s  {result:<6}  {outcome.when}"
    console.print(line, markup=False, highlight=False, soft_wrap=True)
    for failure in outcome.failures:
        console.print(f"          {failure}", markup=False, highlight=False, style="red", soft_wrap=True)


def show(outcomes: list[Outcome]) -> None:
    """Rounds and failures by fault."""
    by_fault: dict[Fault, list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        by_fault[outcome.fault].append(outcome)
    failed = [outcome for outcome in outcomes if outcome.failures]
    table = Table(title=f"{len(outcomes)} rounds, {len(failed)} failed")
    table.add_column("fault")
    for column in ("rounds", "failed", "seconds, median", "longest"):
        table.add_column(column, justify="right")
    for fault, found in by_fault.items():
        seconds = sorted(outcome.seconds for outcome in found)
        bad = sum(bool(outcome.failures) for outcome in found)
        table.add_row(fault, str(len(found)), str(bad), f"{seconds[len(seconds) // 2]:.1f}", f"{seconds[-1]:.1f}")
    console.print(table)
    for outcome in failed:
        console.print(f"again: make faults ROUNDS=1 SEED={outcome.seed}   (logs: .pointstream/fault-logs)")


if __name__ == "__main__":
    main()
