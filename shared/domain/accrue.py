"""Accrual: what the rules give for an order, and how it is allotted to the lines (SEMANTICS, Accrual)."""

from shared.domain.model import Order, OrderLine, RatedLine, RatedOrder
from shared.domain.program import Base, Program, Rule


def base_of(line: OrderLine, base: Base) -> int:
    """What of a line counts, in minor units: money after discounts, without tax and the part paid in points.

    The program may count these two; less than nothing counts as nothing.
    """
    amount = line.paid
    if not base.tax:
        amount -= line.tax
    if base.paid_in_points:
        amount += line.paid_in_points
    return max(amount, 0)


def points_of(rule: Rule, order: Order, bases: list[int]) -> list[int] | None:
    """The points a rule gives for an order, by line; None when it gives none.

    Rounded once, down, on the exact product for all its lines; the result is allotted to the lines by largest
    remainder over the lines' exact products, ties to the lower line.
    """
    match = rule.match
    if not (match.every_order or match.order(order)):
        return None
    if not match.every_line:
        bases = [base if match.line(line) else 0 for line, base in zip(order.lines, bases, strict=True)]
    numerator = rule.rate.numerator
    divisor = rule.rate.denominator * 10**order.exponent
    points = sum(bases) * numerator // divisor
    if points == 0:
        return None
    return allot(points, [base * numerator for base in bases], divisor)


def allot(points: int, quotas: list[int], divisor: int) -> list[int]:
    """Split `points` = ⌊Σ quotas / divisor⌋ by largest remainder over the quotas, ties to the lower index."""
    shares = [quota // divisor for quota in quotas]
    left = points - sum(shares)
    if left:
        remainders = [quota % divisor for quota in quotas]
        # Sorting is stable also in reverse: of equal remainders the lower line comes first.
        for index in sorted(range(len(quotas)), key=remainders.__getitem__, reverse=True)[:left]:
            shares[index] += 1
    return shares


def rate(order: Order, program: Program) -> tuple[RatedOrder, list[tuple[Rule, int]]]:
    """Rate an order: the order with its points frozen on the lines, and each rule that gave some with its total."""
    bases = [base_of(line, program.base) for line in order.lines]
    lines = tuple(
        [
            RatedLine(line.line_id, line.category, line.paid, base, {})
            for line, base in zip(order.lines, bases, strict=True)
        ]
    )
    granted: list[tuple[Rule, int]] = []
    for rule in program.rules:
        shares = points_of(rule, order, bases)
        if shares is None:
            continue
        granted.append((rule, sum(shares)))
        rule_id = rule.rule_id
        for line, share in zip(lines, shares, strict=True):
            if share:
                line.points[rule_id] = share
    rated = RatedOrder(
        order.order_id,
        order.member_id,
        order.occurred_at,
        order.currency,
        order.paid,
        program.version,
        lines,
    )
    return rated, granted
