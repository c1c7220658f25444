"""Accrual: what the rules give for an order, and how it is allotted to the lines (SEMANTICS, Accrual)."""

from collections.abc import Sequence

from shared.domain.ids import RuleId
from shared.domain.model import Order, OrderLine, RatedOrder
from shared.domain.program import Base, Program, Rule


def rate(order: Order, program: Program) -> tuple[RatedOrder, list[tuple[Rule, int]]]:
    """Rate an order: the order with its points frozen on the lines, and each rule that gave some with its total."""
    lines = order.lines
    bases = bases_of(order, program.base)
    scale = 10**order.exponent
    granted: list[tuple[Rule, int]] = []
    shares: dict[RuleId, Sequence[int]] = {}
    counted: dict[int, tuple[int, Sequence[int]]] = {}
    for rule, like in program.alike:
        match = rule.match
        if not (match.every_order or match.order(order)):
            continue
        found = counted.get(like)
        if found is None:
            found = counted[like] = _count(rule, lines, bases, scale)
        points, by_line = found
        if points:
            granted.append((rule, points))
            shares[rule.rule_id] = by_line
    return RatedOrder(order, program.version, bases, shares), granted


def _count(rule: Rule, lines: Sequence[OrderLine], bases: Sequence[int], scale: int) -> tuple[int, Sequence[int]]:
    """The points that a rule gives for the lines that it counts, and their shares by line."""
    for name, wanted in rule.match.of_line:
        bases = [base if line[name] in wanted else 0 for line, base in zip(lines, bases, strict=True)]
    numerator, divisor = rule.rate.numerator, rule.rate.denominator * scale
    quotas = bases if numerator == 1 else [base * numerator for base in bases]
    points = sum(quotas) // divisor
    return points, allot(points, quotas, divisor) if points else ()


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
