"""The workers keep every promise in thousands of interleavings, and the simulation sees each planted bug soon."""

import re
from collections.abc import Iterator

import pytest

from tests.simulation.bugs import BUGS, Bug
from tests.simulation.interleaving import run
from tests.simulation.system import stand_ins

INTERLEAVINGS = 2_000
"""What the unbroken system goes through; `python -m tests.simulation` runs any number more."""

FOUND_WITHIN = 1_500
"""In how many interleavings a planted bug must be seen: less than a minute of a processor."""

CRASH_SEEDS = (54, 0, 34)
"""Small interleavings that are run once for each of their steps, with a crash right after it; in the second one
somebody is invited, in the last one two takings are appealed against."""


@pytest.fixture(autouse=True)
def simulated() -> Iterator[None]:
    with stand_ins():
        yield


def test_the_workers_keep_every_promise() -> None:
    for seed in range(INTERLEAVINGS):
        result = run(seed)
        assert result.failure is None, result.report()


@pytest.mark.parametrize("seed", CRASH_SEEDS)
def test_a_crash_after_any_step_breaks_nothing(seed: int) -> None:
    steps = run(seed, crash_after=0).steps
    assert steps > 50
    for step in range(1, steps + 1):
        result = run(seed, crash_after=step)
        assert result.failure is None, f"crash after step {step}: {result.report()}"


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.__name__)
def test_a_planted_bug_is_found(bug: Bug) -> None:
    with bug():
        failures = (run(seed).failure for seed in range(FOUND_WITHIN))
        found = next((failure for failure in failures if failure), None)
    assert found is not None, f"{bug.__name__} went unseen"
    assert not re.search(r"\b(Type|Attribute|Name|Value)Error\b", found), f"{bug.__name__} is badly planted: {found}"


def test_a_seed_gives_the_same_interleaving_again() -> None:
    with BUGS[0]():
        seed = next(seed for seed in range(FOUND_WITHIN) if run(seed).failure)
        first, again = run(seed).report(), run(seed).report()
    assert first == again
    assert f"python -m tests.simulation {seed}" in first
