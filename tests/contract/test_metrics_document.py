"""The page of the metrics is that of the code."""

from shared.metrics_page import PATH, page


def test_the_committed_page_is_made_from_what_is_declared() -> None:
    assert PATH.read_text(encoding="utf-8") == page(), "run `python -m shared.metrics_page` and commit what it writes"
