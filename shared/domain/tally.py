"""Tallies: numbers that are kept of a member for a rule or a task, some of them for a period."""

from collections.abc import Mapping
from datetime import date
from typing import NamedTuple


class TallyKey(NamedTuple):
    """Which number: its name, which begins with the id of a rule or task, and the first day of the period that it
    counts in; None is for ever."""

    name: str
    period: date | None


Tallies = Mapping[TallyKey, int]
"""The numbers of one member, out of those that a decision asked for. One that was never written is zero."""
