"""The page of the metrics is that of the code."""

import pytest

from shared.metrics import DECLARED, Declared
from shared.metrics_page import PATH, page
from shared.stream.topics import SHARES


def test_the_committed_page_is_made_from_what_is_declared() -> None:
    assert PATH.read_text(encoding="utf-8") == page(), "run `python -m shared.metrics_page` and commit what it writes"


def test_the_page_tells_how_many_publishers_can_work_at_once() -> None:
    assert f"The journal has {SHARES} shares:" in page()


@pytest.mark.parametrize(
    "metric", [metric for metric in DECLARED if "Alert on" in metric.advice], ids=lambda metric: metric.name
)
def test_what_one_is_alerted_on_alerts_as_well_when_nobody_tells_it(metric: Declared) -> None:
    assert f"`absent({metric.name})`" in metric.advice
