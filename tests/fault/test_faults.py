"""Whatever is killed, frozen, cut off or flushed, and whenever: the books agree, and say what an undisturbed run says.

A round for each fault, and one without any. `make faults` plays hundreds; a seed that failed is played again by
`make faults ROUNDS=1 SEED=…`, and `POINTSTREAM_FAULT_SEED=…` here begins with another one.
"""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.fault.faults import Fault
from tests.fault.round import FAULTS, Ring, fault_of, play, prepared
from tests.fault.servers import brought_up

FIRST_SEED = int(os.environ.get("POINTSTREAM_FAULT_SEED", "0"))
OUTAGES_S = (5.0,)


@pytest.fixture(scope="module")
async def ring(run_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Ring]:
    """A stack of its own: its servers are killed."""
    with brought_up(run_folder / f"faults-{os.getpid()}") as servers:
        async with prepared(servers, tmp_path_factory.mktemp("logs"), OUTAGES_S) as ring:
            yield ring


async def test_an_undisturbed_round_gives_what_the_core_says(ring: Ring) -> None:
    outcome = await play(ring, FIRST_SEED, Fault.NONE)
    assert outcome.failures == []


@pytest.mark.parametrize(
    "seed", range(FIRST_SEED, FIRST_SEED + len(FAULTS)), ids=lambda seed: f"{seed}: {fault_of(seed)}"
)
async def test_after_a_fault_all_is_as_if_nothing_had_happened(ring: Ring, seed: int) -> None:
    outcome = await play(ring, seed)
    assert outcome.failures == [], f"{outcome.fault} {outcome.when}; again: make faults ROUNDS=1 SEED={seed}"
