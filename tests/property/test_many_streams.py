"""Twenty thousand random streams of orders, refunds and adjustments, under random programs with filters, multipliers,
limits and caps: the core does what the naive model does.

A failure names its seed, and `SEED=… python -m pytest tests/property/test_many_streams.py` plays the same again.
"""

import os
from collections import Counter
from random import Random
from typing import Any

import pytest

from tests.property.core import Core, programs_of
from tests.property.histories import Sweep, play
from tests.property.streams import capped, program, stream

SEED = int(os.environ.get("SEED") or Random().randrange(10**9))
PARTS = 10
PROGRAMS = 20
"""In each part."""
STREAMS = 100
"""Of each program."""


@pytest.mark.parametrize("part", range(PARTS))
def test_the_core_agrees_with_the_model(part: int) -> None:
    for number in range(PROGRAMS):
        random = Random(f"{SEED}-{part}-{number}")
        document = capped(random, program(random))
        programs = programs_of([document])
        for each in range(STREAMS):
            history = stream(random, document)
            place = f"SEED={SEED}: part {part}, program {number}, stream {each}"
            core, model = Core(history, programs), history.model()
            for index, step in enumerate(history.steps):
                outcome = core.step(step, f"e{index}")
                assert isinstance(step, Sweep) or outcome == play(model, step), f"{place}, step {index}"
            core.run([], history.end)
            model.sweep("m1", history.end)
            assert _plain(core.all_postings()["m1"]) == _plain(model.member("m1").postings), place


def _plain(postings: list[dict[str, Any]]) -> list[Any]:
    """Postings whose movements stand in no particular order, with the balances that are not zero."""
    return [
        posting
        | {
            "movements": Counter(tuple(sorted(row.items(), key=str)) for row in posting["movements"]),
            "balances": {
                (wallet, bucket): points
                for wallet, buckets in posting["balances"].items()
                for bucket, points in buckets.items()
                if points
            },
        }
        for posting in postings
    ]
