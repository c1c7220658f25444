"""How conditions are asked about what happens: with values for what they mention, and nothing else."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Any

from shared.contracts.condition_reading import JOINED, Paths
from shared.domain.condition import Activation, ConditionError


@dataclass(frozen=True, slots=True)
class CelCondition:
    """A condition that was read and compiled. Two that are written alike are equal."""

    expression: str
    mentions: Paths = field(compare=False, repr=False)
    """What it asks about, as `order.paid` or `order.lines.sku`."""
    steps: int = field(compare=False, repr=False)
    """What it takes at most."""
    program: Any = field(compare=False, repr=False)
    values: tuple[tuple[str, str, str], ...] = field(init=False, compare=False, repr=False)
    """The variables that the program has of it: how each is called there, and of what it is which field."""

    def __post_init__(self) -> None:
        paths = [mention.split(".") for mention in self.mentions]
        values = tuple((JOINED.join(path), path[0], path[1]) for path in paths if len(path) == 2)
        object.__setattr__(self, "values", values)

    @property
    def asks_who(self) -> bool:
        return any(root == "member" for _, root, _ in self.values)

    def holds(self, activation: Activation) -> bool:
        context = activation.made.get(self.mentions)
        if context is None:
            context = activation.made[self.mentions] = self._context(activation)
        try:
            answer = self.program.execute(context)
        except Exception as error:
            raise ConditionError(f"{self.expression}: {error}") from error
        if answer is True or answer is False:
            return answer
        raise ConditionError(f"{self.expression}: the answer is {answer!r}, and should be true or false")

    def _context(self, activation: Activation) -> object:
        made: dict[str, Any] = {called: _value(activation, root, name) for called, root, name in self.values}
        if _LINES in made:
            made[_LINES] = _lines(made[_LINES], self.mentions)
        return cel().Context(made)


@cache
def cel() -> ModuleType:
    """The library. It takes 150 ms to import, and most programs have no condition."""
    return import_module("cel")


_LINES = f"order{JOINED}lines"


def _lines(lines: Sequence[Mapping[str, object]], mentions: Paths) -> list[dict[str, object] | None]:
    """The lines of an order with the fields that are mentioned."""
    prefix = "order.lines."
    names = [mention.removeprefix(prefix) for mention in mentions if mention.startswith(prefix)]
    return [{name: line[name] for name in names} or None for line in lines]


def _value(activation: Activation, root: str, name: str) -> object:
    """A field of a variable; those of an order and a behaviour are called as in the core."""
    if root == "member":
        return _of_member(activation, name)
    if root == "occurred_at":
        return _of_time(activation, name)
    return getattr(activation.fact, name)


def _of_member(activation: Activation, name: str) -> object:
    profile = activation.profile
    if name == "joined":
        day = activation.calendar.day_of(activation.fact.occurred_at)
        return None if profile.joined is None else (day - profile.joined).days
    if name == "birthday":
        return None if profile.birthday is None else dict(zip(("month", "day"), profile.birthday, strict=True))
    if name == "tags":
        return sorted(profile.tags)
    return getattr(profile, name)


def _of_time(activation: Activation, name: str) -> int:
    if name == "hour":
        return activation.calendar.hour_of(activation.fact.occurred_at)
    day = activation.calendar.day_of(activation.fact.occurred_at)
    return day.isoweekday() if name == "weekday" else int(getattr(day, name))
