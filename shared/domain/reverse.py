"""Reversal: what refunds take back of an order's points, and where they are taken from (SEMANTICS, Refunds).

What is to be taken depends on the sums of all refunds alone, so it does not matter how they are split or in which order
they come. Parts of lines are exact rationals; nothing is rounded before the points are.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import gcd
from typing import Final, NamedTuple, assert_never

from shared.domain.entry import AVAILABLE, Entry
from shared.domain.facts import Refund
from shared.domain.ids import LotId, OrderId, RuleId, Wallet
from shared.domain.model import Bucket, Lot, RatedOrder
from shared.domain.program import OnRefund, Program, Rule, Shortfall, Threshold, WalletPolicy
from shared.domain.time import Instant

CLAWED_BACK = Bucket.CLAWED_BACK

Part = tuple[int, int]
"""An exact part of something: numerator and denominator, reduced. A `Fraction` costs several times as much."""

NONE: Final = (0, 1)
ALL: Final = (1, 1)


@dataclass(frozen=True, slots=True)
class Refunded:
    """What an order's refunds come to: by line the part that is given back, from `NONE` to `ALL`; and whether anything
    was given back that was not there."""

    parts: Sequence[Part]
    too_much: bool


def fits(refund: Refund, order: RatedOrder) -> bool:
    """Whether a refund can be one of this order."""
    return refund.currency == order.currency and all(given.line_id in order.line_ids for given in refund.lines)


def refunded(order: RatedOrder, refunds: Iterable[Refund]) -> Refunded:
    """What some refunds of an order give back together.

    A line's own refunds come first. What is given back for the order as a whole counts towards each line by what they
    leave of it: r = L + O (p − L) / (P − ΣL). A line that cost nothing goes back by pieces, or with all the others.
    """
    places = {line_id: place for place, line_id in enumerate(order.line_ids)}
    own = [NONE] * len(places)
    full, whole, too_much = False, 0, False
    for refund in refunds:
        full = full or refund.full
        whole += refund.amount
        for given in refund.lines:
            place = places[given.line_id]
            paid = order.paid_by_line[place]
            own[place] = _plus(own[place], given.quantity, order.quantities[place] or 1)
            if paid:
                own[place] = _plus(own[place], given.amount, paid)
            elif given.amount:
                too_much = True
    for place, (numerator, denominator) in enumerate(own):
        if numerator > denominator:
            own[place], too_much = ALL, True
    left = remaining(order.paid_by_line, own)
    parts = [ALL] * len(own) if full else _with_whole(order.paid_by_line, own, whole, left)
    return Refunded(parts, too_much or whole * left[1] > left[0])


def _with_whole(paid_by_line: Sequence[int], own: list[Part], whole: int, left: Part) -> list[Part]:
    """The lines' parts when of what is `left` of them all so much is given back for the order as a whole."""
    if whole * left[1] >= left[0]:
        return [ALL] * len(own) if any(paid_by_line) else own
    if whole == 0:
        return own
    numerator, denominator = whole * left[1], left[0]
    return [
        _plus(part, (part[1] - part[0]) * numerator, part[1] * denominator) if paid else part
        for part, paid in zip(own, paid_by_line, strict=True)
    ]


def remaining(amounts: Sequence[int], parts: Sequence[Part]) -> Part:
    """What is left of the lines' amounts when these parts of the lines are given back, exactly."""
    left = NONE
    for place, (gone, of) in enumerate(parts):
        left = _plus(left, amounts[place] * (of - gone), of)
    return left


def _plus(part: Part, numerator: int, denominator: int) -> Part:
    """A part and another one. Reduced, so that many refunds of a line make no long numbers."""
    above = part[0] * denominator + numerator * part[1]
    below = part[1] * denominator
    common = gcd(above, below)
    return above // common, below // common


def claws(order: RatedOrder, parts: Sequence[Part], program: Program) -> list[tuple[Rule, int]]:
    """The points that refunds of these parts of the lines take back in all, by rule, in the program's order.

    `program` is the version that rated the order.
    """
    everything = all(part == ALL for part in parts)
    # What a limit has taken was never given, so it is taken back first (SEMANTICS G27).
    return [
        (rule, max(0, _claw(rule, order, parts, everything=everything) - order.trimmed.get(rule.rule_id, 0)))
        for rule in program.rules
        if rule.rule_id in order.points
    ]


def _claw(rule: Rule, order: RatedOrder, parts: Sequence[Part], *, everything: bool) -> int:
    points = order.points[rule.rule_id]
    if everything:
        return sum(points)
    if isinstance(rule.earning, Threshold) and rule.earning.on_refund is not OnRefund.PRORATA:
        bases = order.counted.get(rule.rule_id, order.bases)
        return 0 if _is_kept(rule.earning, remaining(bases, parts), sum(bases)) else sum(points)
    return sum([share * part[0] // part[1] for share, part in zip(points, parts, strict=True)])


def _is_kept(threshold: Threshold, left: Part, counted: int) -> bool:
    """Whether a threshold's bonus stays, with so much left of what it counted."""
    match threshold.on_refund:
        case OnRefund.RECOMPUTE | OnRefund.PRORATA:
            return left[0] >= threshold.at_least * left[1]
        case OnRefund.KEEP:
            return 2 * left[0] >= counted * left[1]
        case _:
            assert_never(threshold.on_refund)


@dataclass(frozen=True, slots=True)
class Reversed:
    """What refunds took back by rule, without what was written off, and whether they gave back more than was paid."""

    taken: Mapping[RuleId, int]
    too_much: bool


def reverse(
    entry: Entry,
    order: RatedOrder,
    before: Sequence[Refund],
    after: Sequence[Refund],
    program: Program,
    effective_at: Instant,
) -> Reversed:
    """Take back what an order's refunds come to, less what it was before some of them. Refunds that do not fit the
    order count nothing.

    Rule by rule: out of the order's pending lots, its own active ones, what of them ended unspent, and other available
    lots in burn order; what is missing then follows the program's policy.
    """
    now = refunded(order, [refund for refund in after if fits(refund, order)])
    earlier: dict[RuleId, int] = {}
    if counted := [refund for refund in before if fits(refund, order)]:
        earlier = {rule.rule_id: points for rule, points in claws(order, refunded(order, counted).parts, program)}
    taken: dict[RuleId, int] = {}
    for rule, together in claws(order, now.parts, program):
        points = together - earlier.get(rule.rule_id, 0)
        claw = Claw(rule.wallet, points, rule.rule_id, order.order_id, order.lots)
        taken[rule.rule_id] = points - take_back(entry, claw, program, effective_at)
    return Reversed(taken, now.too_much)


class Claw(NamedTuple):
    """Points of a wallet to take back, which a rule gave into some lots: for an order, or for none of this member."""

    wallet: Wallet
    points: int
    rule_id: RuleId
    order_id: OrderId | None
    lots: Sequence[LotId]


def take_back(entry: Entry, claw: Claw, program: Program, effective_at: Instant) -> int:
    """Take points back: out of their own lots, then of other available ones in burn order; what is missing then follows
    the program's policy. Returns how many of them were written off."""
    missing = _take_own(entry, claw, effective_at)
    policy = program.wallets[claw.wallet]
    missing = take_available(entry, policy, missing, CLAWED_BACK, claw.rule_id, claw.order_id)
    if missing:
        _fall_short(entry, claw, missing, program.refunds.shortfall)
    return missing if program.refunds.shortfall is Shortfall.CLIP else 0


def _take_own(entry: Entry, claw: Claw, effective_at: Instant) -> int:
    """Take points out of their own lots; returns how many are missing.

    What is pending at the instant comes first, then what is active, then what ended. Of an order that comes after its
    refund nothing was settled yet, and it makes no difference.
    """
    points = claw.points
    for lot in sorted(_own_lots(entry, claw), key=lambda lot: _stage(lot, effective_at)):
        if part := min(points, lot.remaining):
            entry.take(lot, part, CLAWED_BACK, claw.rule_id, claw.order_id)
            points -= part
    for lot in _own_lots(entry, claw):
        if part := min(points, lot.expired):
            entry.take_expired(lot, part, CLAWED_BACK, claw.rule_id, claw.order_id)
            points -= part
    return points


def _stage(lot: Lot, at: Instant) -> int:
    """How far a lot is in its life at an instant: 0 is pending, 1 active, 2 ended."""
    if lot.expires_at is not None and lot.expires_at <= at:
        return 2
    return 0 if lot.activates_at is not None and lot.activates_at > at else 1


def _own_lots(entry: Entry, claw: Claw) -> list[Lot]:
    """The lots that the points went into. One in which nothing is left, and of which nothing ended, may be left out."""
    lots = [entry.lots.get(lot_id) for lot_id in claw.lots]
    return [lot for lot in lots if lot is not None and lot.wallet == claw.wallet]


def _fall_short(entry: Entry, claw: Claw, points: int, shortfall: Shortfall) -> None:
    match shortfall:
        case Shortfall.DEBT:
            bucket = Bucket.DEBT
            entry.owe(claw.wallet, claw.order_id, points)
        case Shortfall.CLIP:
            bucket = Bucket.WRITTEN_OFF
            entry.write_off(claw.wallet, claw.order_id, points)
        case Shortfall.CASH_OFFSET:
            bucket = Bucket.CASH_OFFSET
        case _:
            assert_never(shortfall)
    entry.move(claw.wallet, bucket, CLAWED_BACK, points, claw.rule_id, claw.order_id)


def take_available(
    entry: Entry, policy: WalletPolicy, points: int, to: Bucket, rule_id: RuleId | None, order_id: OrderId | None
) -> int:
    """Take points that are available, in burn order; returns how many are missing. Without an order, what is taken
    belongs to the orders that earned it.

    The soonest expiry comes first and what never expires last, then the older lot (SEMANTICS, Redemption). A counter
    has lots only of what will expire; the rest of it is taken from the balance.
    """
    lots = [
        lot
        for lot in entry.lots.values()
        if lot.wallet == policy.wallet and lot.activates_at is None and lot.remaining > 0
    ]
    for lot in sorted(lots, key=lambda lot: (lot.expires_at is None, lot.expires_at or 0, lot.lot_id)):
        if part := min(points, lot.remaining):
            entry.take(lot, part, to, rule_id, order_id or lot.order_id)
            points -= part
    if points and not policy.spendable and (part := min(points, entry.available(policy.wallet))):
        entry.move(policy.wallet, AVAILABLE, to, part, rule_id, order_id)
        points -= part
    return points
