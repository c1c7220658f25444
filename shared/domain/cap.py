"""Caps: what some rules may give a member (SEMANTICS, Accrual).

A tally says how much of a cap is used in a period. What a refund really takes back makes room again.
"""

from collections.abc import Mapping, Sequence

from shared.domain.ids import RuleId
from shared.domain.model import RatedOrder
from shared.domain.program import Program
from shared.domain.program_caps import Cap
from shared.domain.room import Room
from shared.domain.tally import Tallies, TallyKey
from shared.domain.time import Instant


def needs(program: Program, at: Instant) -> list[TallyKey]:
    """The tallies of the caps for what happens at an instant."""
    return [key for _, key in _in_force(program, at) if key is not None]


def rooms(program: Program, at: Instant, tallies: Tallies) -> list[tuple[TallyKey | None, Room]]:
    """What the caps for an instant have room for; None is the tally of one that holds for each order."""
    found: list[tuple[TallyKey | None, Room]] = []
    for cap, key in _in_force(program, at):
        left = cap.points if key is None else cap.points - tallies.get(key, 0)
        found.append((key, Room(cap.costs, cap.excess, max(0, left))))
    return found


def give_back(rated: RatedOrder, taken: Mapping[RuleId, int], program: Program, tallies: Tallies) -> Tallies:
    """The tallies after points of an order were taken back, by rule: its caps have room for as many again."""
    changed: dict[TallyKey, int] = {}
    for cap, key in _in_force(program, rated.occurred_at):
        points = sum([amount for rule_id, amount in taken.items() if rule_id in cap.costs])
        if key is not None and points:
            changed[key] = max(0, changed.get(key, tallies.get(key, 0)) - points)
    return changed


def _in_force(program: Program, at: Instant) -> Sequence[tuple[Cap, TallyKey | None]]:
    """The caps for an instant, each with where it is counted then."""
    keyed = program.keyed_caps(program.calendar.day_of(at))
    if program.campaign_caps:
        return [(cap, key) for cap, key in keyed if cap.during is None or cap.during.holds(at)]
    return keyed
