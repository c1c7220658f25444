"""Caps: what of an order's points some rules may give (SEMANTICS, Accrual).

A tally says how much of a cap is used in a period. What exceeds it is trimmed, or its rule is passed over; what a
refund really takes back makes room again. Of an order, the rules use the room in the program's order.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from shared.domain.ids import RuleId
from shared.domain.model import RatedOrder
from shared.domain.program import Program, Rule
from shared.domain.program_caps import Cap, Excess
from shared.domain.tally import Tallies, TallyKey, first_day
from shared.domain.time import Instant

Granted = Sequence[tuple[Rule, int]]
"""What rules give, by part."""


@dataclass(frozen=True, slots=True)
class Capped:
    """What is given within the caps, the tallies that it changes, and whether anything was cut."""

    granted: Granted
    tallies: Tallies
    cut: bool


def needs(program: Program, at: Instant) -> list[TallyKey]:
    """The tallies of the caps for an order that was paid at an instant."""
    return [key for cap in _in_force(program, at) if (key := _key(cap, program, at)) is not None]


def _in_force(program: Program, at: Instant) -> list[Cap]:
    return [cap for cap in program.caps if cap.during is None or cap.during.holds(at)]


def apply(rated: RatedOrder, granted: Granted, program: Program, tallies: Tallies) -> Capped:
    """Cut what the rules give down to what the caps have room for; `rated` then says what was trimmed."""
    caps = [_Room(cap, _key(cap, program, rated.occurred_at), tallies) for cap in _in_force(program, rated.occurred_at)]
    points_by_rule: dict[RuleId, int] = {}
    for rule, amount in granted:
        points_by_rule[rule.of] = points_by_rule.get(rule.of, 0) + amount
    for room in caps:
        room.used = sum([points for rule_id, points in points_by_rule.items() if rule_id in room.cap.rules])
    if all(room.used <= room.left for room in caps):  # as for most orders
        return Capped(granted, _used(caps, tallies), cut=False)
    return _cut_down(rated, granted, caps, tallies)


def _cut_down(rated: RatedOrder, granted: Granted, caps: Sequence["_Room"], tallies: Tallies) -> Capped:
    for room in caps:
        room.used = 0
    left: list[tuple[Rule, int]] = []
    trimmed: dict[RuleId, int] = {}
    for rule_id, parts in _by_rule(granted).items():
        points = sum([amount for _, amount in parts])
        of_rule = [room for room in caps if rule_id in room.cap.rules]
        allowed = _allowed(points, of_rule)
        if allowed < points:
            trimmed[rule_id] = points - allowed
        left += parts if allowed == points else _cut(parts, points - allowed)
        for room in of_rule:
            room.left -= allowed
            room.used += allowed
    if trimmed:
        rated.trimmed = {**rated.trimmed, **{rule: rated.trimmed.get(rule, 0) + lost for rule, lost in trimmed.items()}}
    return Capped(left, _used(caps, tallies), bool(trimmed))


def _used(caps: Iterable["_Room"], tallies: Tallies) -> Tallies:
    """The tallies of caps of which an order used something."""
    return {room.key: tallies.get(room.key, 0) + room.used for room in caps if room.key is not None and room.used}


class _Room:
    """What a cap has room for, and how much of it an order uses."""

    __slots__ = ("cap", "key", "left", "used")

    def __init__(self, cap: Cap, key: TallyKey | None, tallies: Tallies) -> None:
        self.cap = cap
        self.key = key
        self.left = max(0, cap.points - (0 if key is None else tallies.get(key, 0)))
        self.used = 0


def give_back(rated: RatedOrder, taken: Mapping[RuleId, int], program: Program, tallies: Tallies) -> Tallies:
    """The tallies after points of an order were taken back, by rule: its caps have room for as many again."""
    changed: dict[TallyKey, int] = {}
    for cap in _in_force(program, rated.occurred_at):
        key = _key(cap, program, rated.occurred_at)
        points = sum([amount for rule_id, amount in taken.items() if rule_id in cap.rules])
        if key is not None and points:
            changed[key] = max(0, changed.get(key, tallies.get(key, 0)) - points)
    return changed


def _key(cap: Cap, program: Program, at: Instant) -> TallyKey | None:
    """Where what a cap gives at an instant is counted; None for one that holds for each order."""
    if cap.per is None:
        return None
    day = program.calendar.day_of(at)
    return TallyKey(f"{cap.cap_id}:{cap.per}", first_day(cap.per, cap.during, day, program.calendar))


def _by_rule(granted: Granted) -> dict[RuleId, list[tuple[Rule, int]]]:
    """The parts of each rule: what it gives itself is named first."""
    parts: dict[RuleId, list[tuple[Rule, int]]] = {}
    for rule, points in granted:
        parts.setdefault(rule.of, []).append((rule, points))
    return parts


def _allowed(points: int, caps: Iterable[_Room]) -> int:
    """How many of a rule's points fit into all of its caps."""
    allowed = points
    for room in caps:
        if room.left < points:
            allowed = min(allowed, 0 if room.cap.excess is Excess.SKIP else room.left)
    return allowed


def _cut(parts: Sequence[tuple[Rule, int]], points: int) -> list[tuple[Rule, int]]:
    """What is left of a rule's parts: the last one loses first."""
    left = []
    for rule, amount in reversed(parts):
        lost = min(amount, points)
        points -= lost
        if amount > lost:
            left.append((rule, amount - lost))
    return left[::-1]
