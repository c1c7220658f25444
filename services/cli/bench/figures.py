"""Figures: several values of one thing, of which the median and the spread are told."""

import statistics
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from services.cli.tables import Table


@dataclass(frozen=True, slots=True)
class Figure:
    """One thing that was measured, once a run."""

    part: str
    what: str
    unit: str
    values: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    def document(self) -> dict[str, Any]:
        """The figure as JSON."""
        return {
            "part": self.part,
            "what": self.what,
            "unit": self.unit,
            "median": self.median,
            "min": min(self.values),
            "max": max(self.values),
            "values": list(self.values),
        }


@dataclass(slots=True)
class Figures:
    """All that a bench has measured so far, in the order in which it came up."""

    _values: dict[tuple[str, str, str], list[float]] = field(default_factory=dict)

    def add(self, part: str, what: str, unit: str, *values: float) -> None:
        """Add a run's value, or those of several runs."""
        self._values.setdefault((part, what, unit), []).extend(values)

    def all(self) -> list[Figure]:
        """Every figure."""
        return [Figure(part, what, unit, tuple(values)) for (part, what, unit), values in self._values.items()]

    def median(self, what: str) -> float:
        """The median of a figure by its name. Raises `KeyError` when it was not measured."""
        for figure in self.all():
            if figure.what == what:
                return figure.median
        raise KeyError(what)


def quantile(values: Iterable[float], share: float) -> float:
    """The value that `share` of them do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def table(figures: Iterable[Figure]) -> Table:
    """The figures for a person."""
    shown = Table("figure", "median", "of", "unit", title="pointstream bench")
    for column in (1, 2):
        shown.columns[column].justify = "right"
    part = None
    for figure in figures:
        if part is not None and figure.part != part:
            shown.add_section()
        part = figure.part
        spread = f"{_text(min(figure.values))} to {_text(max(figure.values))}" if len(figure.values) > 1 else ""
        shown.add_row(figure.what, _text(figure.median), spread, figure.unit)
    return shown


def _text(value: float) -> str:
    if abs(value) < 10:
        return f"{value:.2f}"
    return f"{value:,.1f}" if abs(value) < 100 else f"{value:,.0f}"
