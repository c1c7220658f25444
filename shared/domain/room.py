"""Room: how many of the points that an event would give fit into what caps and budgets have left."""

from collections.abc import Sequence
from typing import Final, TypeVar

from shared.domain.ids import RuleId
from shared.domain.program_caps import Excess

Points = dict[RuleId, int]
"""Points by rule, in the program's order."""

NOTHING_CUT: Final[Points] = {}

Part = TypeVar("Part")


class Room:
    """What a cap or a budget has left, in units of its own; `costs` says how many a point of each rule uses.

    `used` is what an event uses of it, and `short` the least that it had to have more for the event to get more: 0
    where it cut nothing.
    """

    __slots__ = ("costs", "excess", "left", "short", "used")

    def __init__(self, costs: dict[RuleId, int], excess: Excess, left: int) -> None:
        self.costs = costs
        self.excess = excess
        self.left = left
        self.used = 0
        self.short = 0

    def units(self, points: Points) -> int:
        """What points would use of it."""
        units = 0
        for rule_id, amount in points.items():
            units += amount * self.costs.get(rule_id, 0)
        return units

    def fitting(self, rule_id: RuleId, points: int) -> int:
        """How many of a rule's points it has room for."""
        cost = self.costs.get(rule_id)
        if cost is None or points * cost <= self.left:
            return points
        return 0 if self.excess is Excess.SKIP else self.left // cost

    def fall_short(self, rule_id: RuleId, points: int) -> None:
        """Fewer of a rule's points were given, since it had no room for them."""
        cost = self.costs[rule_id]
        short = points * cost - self.left if self.excess is Excess.SKIP else cost - self.left % cost
        self.short = min(short, self.short or short)

    def use(self, rule_id: RuleId, points: int) -> None:
        """A rule gives points."""
        units = points * self.costs.get(rule_id, 0)
        self.left -= units
        self.used += units


def cut(points: Points, caps: Sequence[Room], budgets: Sequence[Room]) -> Points:
    """How many points of which rules do not fit. The rules use the room in their order; budgets are asked for what the
    caps let through."""
    rooms = [*caps, *budgets]
    for room in rooms:
        room.used = room.units(points)
    if all(room.used <= room.left for room in rooms):  # as for most events
        return NOTHING_CUT
    for room in rooms:
        room.used = 0
    lost: dict[RuleId, int] = {}
    for rule_id, wanted in points.items():
        given = _fitting(rule_id, _fitting(rule_id, wanted, caps), budgets)
        for room in rooms:
            room.use(rule_id, given)
        if given < wanted:
            lost[rule_id] = wanted - given
    return lost


def _fitting(rule_id: RuleId, points: int, rooms: Sequence[Room]) -> int:
    """How many of a rule's points fit into all of the rooms. Those are short that have room for no more of them: what
    the others lack makes no difference."""
    fitting = [room.fitting(rule_id, points) for room in rooms]
    given = min([points, *fitting])
    if given < points:
        for room, fits in zip(rooms, fitting, strict=True):
            if fits == given:
                room.fall_short(rule_id, points)
    return given


def without(parts: Sequence[tuple[Part, int]], lost: int) -> list[tuple[Part, int]]:
    """What is left of a rule's parts without so many points: the last one loses first."""
    left = []
    for part, amount in reversed(parts):
        gone = min(amount, lost)
        lost -= gone
        if amount > gone:
            left.append((part, amount - gone))
    return left[::-1]
