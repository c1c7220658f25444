"""Accrual: what the rules give for an order, and how it is allotted to the lines (SEMANTICS, Accrual).

Of all that is done for an order this is done most often, so it is written in plain loops over lists of integers: those
gain most where the core is compiled (docs/adr/0017).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, assert_never

from shared.domain.condition import Activation
from shared.domain.facts import Order, OrderLine
from shared.domain.filters import OfLine
from shared.domain.ids import RuleId
from shared.domain.member import NOBODY, Profile
from shared.domain.model import BALANCE_LIMIT, RatedOrder
from shared.domain.multiplier import ONE, Factor, Multiplier, Stacking
from shared.domain.program import Base, Choice, Earning, PerItem, Program, Rate, Rule, Selection, Step, Threshold

Factors = Sequence[tuple[Multiplier, Factor]]
"""By what multipliers an order is multiplied, in the order in which they stack."""

Parts = Sequence[tuple[Multiplier, int]]
"""How many of the points that a rule gives each multiplier has added."""


@dataclass(slots=True)
class Count:
    """What a rule gives for an order."""

    points: int
    by_line: list[int]
    """What the points would be without the rule's limit."""
    lost: int
    """How many points its limit has taken."""
    parts: Parts
    """The parts of those that it gives."""


Gain = tuple[Rule, Count]
"""A rule that gives some points, and what it gives."""

Weighed = tuple[list[int], int]
"""What of each line some rules count, and the sum."""

# Looking a member up in its enum costs more than all else that is done with it here.
BEST: Final = Choice.BEST

NO_POINTS: Final = Count(0, [], 0, ())

NOTHING: Final[Mapping[RuleId, int]] = {}

NOTHING_COUNTED: Final[Mapping[RuleId, Sequence[int]]] = {}


def rate(
    order: Order,
    program: Program,
    profile: Profile = NOBODY,
    first_order: bool = False,
    about: Activation | None = None,
) -> tuple[RatedOrder, list[tuple[Rule, int]]]:
    """Rate an order: the order with its points frozen on the lines, and what each rule gave.

    What a multiplier added to a rule stands by itself, under the name of that part. `profile` is the member as it was
    when the order was paid, and `first_order` says whether no order of it was accepted before. Conditions are asked
    `about` the order, which keeps whether one of them failed; without it none is, and none holds.
    """
    bases = bases_of(order, program.base)
    scale: int = 10**order.exponent
    factors = _factors(order, program, profile, about) if program.multipliers else ()
    gains: list[Gain] = []
    weighed: list[Weighed | None] = [None] * len(program.selections)
    counted: list[Count | None] = [None] * len(program.rules)
    for rule, like, selection in program.alike:
        if not (rule.every_order or rule.looks_at(order, first_order=first_order, about=about)):
            continue
        found = counted[like]
        if found is None:
            of_lines = weighed[selection]
            if of_lines is None:
                of_lines = weighed[selection] = _weigh(program.selections[selection], order.lines, bases)
            weights, total = of_lines
            found = counted[like] = _count(rule, weights, total, scale, program.stacking, factors)
        if found.points:
            gains.append((rule, found))
    if program.groups:
        gains = _one_of_each_group(gains, program.groups)
    granted = [(rule, count.points) for rule, count in gains]
    if factors:
        granted = [part for rule, count in gains for part in _by_part(rule, count, program)]
    return _frozen(order, program, bases, gains), granted


def _frozen(order: Order, program: Program, bases: list[int], gains: list[Gain]) -> RatedOrder:
    lines = order.lines
    return RatedOrder(
        order.order_id,
        order.member_id,
        order.occurred_at,
        order.currency,
        order.paid,
        program.version,
        [line["line_id"] for line in lines],
        [line["category"] for line in lines],
        [line["quantity"] for line in lines],
        [line["paid"] for line in lines],
        bases,
        {rule.rule_id: count.by_line for rule, count in gains},
        ({rule.rule_id: count.lost for rule, count in gains if count.lost} if program.limits else NOTHING) or NOTHING,
        {rule.rule_id: _of_lines(rule.match.of_line, lines, bases) for rule, _ in gains if rule.counts_some}
        if program.thresholds_of_some
        else NOTHING_COUNTED,
    )


def _factors(order: Order, program: Program, profile: Profile, about: Activation | None) -> Factors:
    day = program.calendar.day_of(order.occurred_at)
    found = [(multiplier, multiplier.factor_for(order, day, profile, about)) for multiplier in program.multipliers]
    return [(multiplier, factor) for multiplier, factor in found if factor is not None]


def _one_of_each_group(gains: list[Gain], groups: Mapping[str, Choice]) -> list[Gain]:
    """What is left when of each exclusive group only the chosen rule gives."""
    chosen: dict[str, tuple[Rule, int]] = {}
    for rule, count in gains:
        if rule.group is not None:
            before = chosen.get(rule.group)
            if before is None or (groups[rule.group] is BEST and count.points > before[1]):
                chosen[rule.group] = (rule, count.points)
    return [gain for gain in gains if gain[0].group is None or chosen[gain[0].group][0] is gain[0]]


def _by_part(rule: Rule, count: Count, program: Program) -> list[tuple[Rule, int]]:
    """What of the points a rule gave by itself, and what each multiplier added, where that is something."""
    own = count.points - sum([part for _, part in count.parts])
    added = [(program.parts[rule.rule_id, multiplier.multiplier_id], part) for multiplier, part in count.parts]
    return [(named, part) for named, part in ((rule, own), *added) if part]


def _weigh(selection: Selection, lines: Sequence[OrderLine], bases: list[int]) -> Weighed:
    """What of each line a selection counts, and the sum."""
    of_line, pieces = selection
    weights = [line["quantity"] for line in lines] if pieces else bases
    if of_line:
        weights = _of_lines(of_line, lines, weights)
    total = 0
    for weight in weights:
        total += weight
    return weights, total


def _count(rule: Rule, weights: list[int], total: int, scale: int, stacking: Stacking, factors: Factors) -> Count:
    """The points that a rule gives for lines that weigh `total` together, when `factors` multiply the order."""
    unit, per = _quota(rule.earning, total, scale)
    parts: Parts = ()
    if factors:
        unit, per, parts = _multiplied(rule, total, unit, per, stacking, factors)
    points = total * unit // per
    if not points:
        return NO_POINTS
    if points < rule.at_least:
        points, unit, per = rule.at_least, rule.at_least, total
    by_line = allot(points, weights, unit, per)
    # What no account may hold is not trimmed: the order is refused for it.
    if rule.at_most is None or not rule.at_most < points <= BALANCE_LIMIT:
        return Count(points, by_line, 0, parts)
    return Count(rule.at_most, by_line, points - rule.at_most, _trim(parts, points - rule.at_most))


def _quota(earning: Earning, total: int, scale: int) -> tuple[int, int]:
    """(unit, per): a line earns unit / per, exactly, for each 1 of its weight."""
    if isinstance(earning, Rate):
        return earning.numerator, earning.denominator * scale
    if isinstance(earning, PerItem):
        return earning.points, 1
    if isinstance(earning, Step):
        return total // earning.every * earning.points, total or 1
    if isinstance(earning, Threshold):
        return earning.points if total >= earning.at_least else 0, total or 1
    assert_never(earning)


def _multiplied(
    rule: Rule, total: int, unit: int, per: int, stacking: Stacking, factors: Factors
) -> tuple[int, int, Parts]:
    """`unit` and `per` multiplied; and by how much each factor lets the points of all lines, rounded down, grow."""
    stacked = ONE
    points = total * unit // per
    parts = []
    for multiplier, factor in factors:
        if rule.rule_id in multiplier.rules:
            stacked = stacking.stack(stacked, factor)
            before, points = points, total * unit * stacked.numerator // (per * stacked.denominator)
            parts.append((multiplier, points - before))
    if isinstance(rule.earning, Step | Threshold):  # what comes as a whole is whole before it falls to the lines
        return points, total or 1, parts
    return unit * stacked.numerator, per * stacked.denominator, parts


def _trim(parts: Parts, trimmed: int) -> Parts:
    """What is left of the parts: the last one loses first, and what they all have not is the rule's own loss."""
    left = []
    for multiplier, points in reversed(parts):
        lost = min(points, trimmed)
        trimmed -= lost
        left.append((multiplier, points - lost))
    return left[::-1]


def _of_lines(of_line: OfLine, lines: Sequence[OrderLine], amounts: list[int]) -> list[int]:
    """The amounts of the lines that have what is asked, and 0 for the others."""
    for name, values, wanted in of_line:
        # A counted loop: the compiler makes none of a zip that is strict.
        amounts = [amounts[place] if (line[name] in values) is wanted else 0 for place, line in enumerate(lines)]
    return amounts


def bases_of(order: Order, base: Base) -> list[int]:
    """What of each line counts, in minor units: money after discounts, without tax, shipping and what points paid.

    The program may count these three; less than nothing counts as nothing. Shipping that counts is spread over the
    lines in proportion to what else counts of them, by largest remainder; where nothing does, the first line gets it.
    """
    lines = order.lines
    bases = [line["paid"] if base.tax else line["paid"] - line["tax"] for line in lines]
    if base.paid_in_points:
        bases = [amount + line["paid_in_points"] for amount, line in zip(bases, lines, strict=True)]
    if min(bases) < 0:
        bases = [max(amount, 0) for amount in bases]
    return _with_shipping(bases, order.shipping) if base.shipping else bases


def _with_shipping(bases: list[int], shipping: int) -> list[int]:
    total = sum(bases)
    if total == 0:
        return [shipping, *bases[1:]]
    return [base + share for base, share in zip(bases, allot(shipping, bases, shipping, total), strict=True)]


def allot(points: int, weights: list[int], unit: int, per: int) -> list[int]:
    """Split `points` = ⌊Σ weights × unit / per⌋ by largest remainder over the weights, ties to the lower index.

    A rule's points are rounded once, down, on the exact product for all lines; this brings them to the lines.
    """
    shares: list[int] = []
    left = points
    most, first = -1, 0
    for place, weight in enumerate(weights):
        quota = weight * unit
        share = quota // per
        shares.append(share)
        left -= share
        remainder = quota - share * per
        if remainder > most:
            most, first = remainder, place
    if left == 1:  # as for most orders
        shares[first] += 1
    elif left:
        remainders = [weight * unit % per for weight in weights]
        # Sorting is stable also in reverse: of equal remainders the lower line comes first.
        for place in sorted(range(len(weights)), key=remainders.__getitem__, reverse=True)[:left]:
            shares[place] += 1
    return shares
