"""Accrual: what the rules give for an order, and how it is allotted to the lines (SEMANTICS, Accrual)."""

from collections.abc import Mapping, Sequence
from typing import assert_never

from shared.domain.facts import Order, OrderLine
from shared.domain.model import RatedOrder
from shared.domain.program import Base, Choice, Match, PerItem, Program, Rate, Rule, Step, Threshold

Gain = tuple[Rule, int, Sequence[int]]
"""A rule, the points that it gives for an order, and their shares by line."""


def rate(order: Order, program: Program) -> tuple[RatedOrder, list[tuple[Rule, int]]]:
    """Rate an order: the order with its points frozen on the lines, and each rule that gave some with its total."""
    bases = bases_of(order, program.base)
    scale = 10**order.exponent
    gains: list[Gain] = []
    counted: dict[int, tuple[int, Sequence[int]]] = {}
    for rule, like in program.alike:
        if not (rule.every_order or rule.looks_at(order)):
            continue
        found = counted.get(like)
        if found is None:
            found = counted[like] = _count(rule, order.lines, bases, scale)
        if found[0]:
            gains.append((rule, *found))
    if program.groups:
        gains = _one_of_each_group(gains, program.groups)
    return _frozen(order, program, bases, gains), [(rule, points) for rule, points, _ in gains]


def _frozen(order: Order, program: Program, bases: Sequence[int], gains: list[Gain]) -> RatedOrder:
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
        {rule.rule_id: by_line for rule, _, by_line in gains},
        {
            rule.rule_id: _of_lines(rule.match, lines, bases)
            for rule, _, _ in gains
            if rule.match.of_line and isinstance(rule.earning, Threshold)
        },
    )


def _one_of_each_group(gains: list[Gain], groups: Mapping[str, Choice]) -> list[Gain]:
    """What is left when of each exclusive group only the chosen rule gives."""
    chosen: dict[str, Gain] = {}
    for gain in gains:
        rule, points, _ = gain
        if rule.group is not None:
            before = chosen.setdefault(rule.group, gain)
            if groups[rule.group] is Choice.BEST and points > before[1]:
                chosen[rule.group] = gain
    return [gain for gain in gains if gain[0].group is None or chosen[gain[0].group] is gain]


def _count(rule: Rule, lines: Sequence[OrderLine], bases: Sequence[int], scale: int) -> tuple[int, Sequence[int]]:
    """The points that a rule gives for the lines that it counts, and their shares by line."""
    earning = rule.earning
    if isinstance(earning, PerItem):
        by_piece = _of_lines(rule.match, lines, [line["quantity"] * earning.points for line in lines])
        return sum(by_piece), by_piece
    bases = _of_lines(rule.match, lines, bases)
    total = sum(bases)
    match earning:
        case Rate(numerator, denominator):
            divisor = denominator * scale
            points = total * numerator // divisor
            quotas = bases if numerator == 1 else [base * numerator for base in bases]
            return points, allot(points, quotas, divisor) if points else ()
        case Step(every, each):
            return _in_proportion(total // every * each, bases, total)
        case Threshold(at_least, once):
            return _in_proportion(once if total >= at_least else 0, bases, total)
        case _:
            assert_never(earning)


def _of_lines(match: Match, lines: Sequence[OrderLine], amounts: Sequence[int]) -> Sequence[int]:
    """The amounts of the lines that match, and 0 for the others."""
    for name, wanted in match.of_line:
        amounts = [amount if line[name] in wanted else 0 for line, amount in zip(lines, amounts, strict=True)]
    return amounts


def _in_proportion(points: int, bases: Sequence[int], total: int) -> tuple[int, Sequence[int]]:
    """Points that come as a whole, allotted to the lines by their part of the total."""
    return points, allot(points, [points * base for base in bases], total) if points else ()


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
    shares = allot(shipping, [shipping * base for base in bases], total)
    return [base + share for base, share in zip(bases, shares, strict=True)]


def allot(points: int, quotas: Sequence[int], divisor: int) -> list[int]:
    """Split `points` = ⌊Σ quotas / divisor⌋ by largest remainder over the quotas, ties to the lower index.

    A rule's points are rounded once, down, on the exact product for all lines; this brings them to the lines.
    """
    shares = [quota // divisor for quota in quotas]
    left = points - sum(shares)
    if left == 0:
        return shares
    remainders = [quota % divisor for quota in quotas]
    if left == 1:  # as for most orders: no need to sort
        shares[remainders.index(max(remainders))] += 1
        return shares
    # Sorting is stable also in reverse: of equal remainders the lower line comes first.
    for index in sorted(range(len(quotas)), key=remainders.__getitem__, reverse=True)[:left]:
        shares[index] += 1
    return shares
