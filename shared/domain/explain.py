"""Why a rule gave nothing for an order, and why a multiplier added nothing. Pure: out of what it was rated by."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import assert_never, cast

from shared.domain.accrue import bases_of, rate
from shared.domain.circumstances import Asked, Circumstances, asked_by_multiplier, asked_by_rule, circumstances_of
from shared.domain.condition import Activation
from shared.domain.facts import Order, OrderLine
from shared.domain.filters import Birthday, Match, Window, is_on
from shared.domain.ids import MemberId, MultiplierId, OrderId, RuleId
from shared.domain.member import Profile
from shared.domain.model import RatedOrder
from shared.domain.multiplier import ByTier, Multiplier
from shared.domain.program import Base, Choice, PerItem, Program, Rate, Rule, Step, Threshold
from shared.domain.time import Instant


class Reason(StrEnum):
    """Why a rule or a multiplier gave nothing. Where several hold, the first in this order is given."""

    BEFORE_ITS_TIME = "before_its_time"
    """It was not in force yet when the order was paid."""
    AFTER_ITS_TIME = "after_its_time"
    """It was over when the order was paid."""
    NOT_KEPT = "not_kept"
    """It asks for something that was not kept with the order: nobody can say any more."""
    NOT_FIRST_ORDER = "not_first_order"
    """It is for the first order of a member."""
    OTHER_CHANNEL = "other_channel"
    OTHER_STORE = "other_store"
    OTHER_PAYMENT_METHOD = "other_payment_method"
    OTHER_DAY = "other_day"
    """A multiplier for other days."""
    NOT_BIRTHDAY = "not_birthday"
    """It was not the member's birthday, or nobody had told of one."""
    NO_TIER = "no_tier"
    """The member had no tier."""
    OTHER_TIER = "other_tier"
    """The member had a tier that it does not name."""
    CONDITION_NOT_MET = "condition_not_met"
    """Its condition did not hold."""
    CONDITION_FAILED = "condition_failed"
    """Its condition had no answer."""
    NO_LINE_MATCHES = "no_line_matches"
    """No line has what it asks for."""
    NOTHING_COUNTS = "nothing_counts"
    """The lines that count come to nothing: no money, or no pieces."""
    BELOW_THRESHOLD = "below_threshold"
    BELOW_STEP = "below_step"
    """The lines that count come to less than one step."""
    LESS_THAN_A_POINT = "less_than_a_point"
    OTHER_OF_GROUP = "other_of_group"
    """Only one rule of its group gives, and it was another one."""
    CUT = "cut"
    """A limit, a cap or a budget had no room for what it would have given."""
    NO_RULE_GAVE = "no_rule_gave"
    """None of the rules that it multiplies gave anything."""
    UNEXPLAINED = "unexplained"
    """By what was kept, it should have given something."""


@dataclass(frozen=True, slots=True)
class Silence:
    """A rule or a multiplier that gave nothing, and the first reason.

    `had` is what the order had and `wanted` what would have done; `counted` is what the lines that count come to and
    `needed` from where on it gives, in minor units; `other` is the rule of its group that gave, `choice` how it was
    chosen; `at` is when its time begins or ended; `cut` is how many points limits, caps and budgets took.
    """

    name: RuleId | MultiplierId
    reason: Reason
    had: str | None = None
    wanted: tuple[str, ...] = ()
    counted: int | None = None
    needed: int | None = None
    other: RuleId | None = None
    choice: Choice | None = None
    at: Instant | None = None
    cut: int | None = None


@dataclass(frozen=True, slots=True)
class Basis:
    """What an order was rated by: the lines as far as rules look at them, what of each counts, and what held then."""

    paid_at: Instant
    currency: str
    exponent: int
    lines: Sequence[OrderLine]
    bases: Sequence[int]
    held: Circumstances


PLAIN = Base(tax=False, paid_in_points=False, shipping=False)
"""A base that counts just what a line was paid with: lines of a basis have that as what they count."""


def basis_of(order: Order, program: Program, profile: Profile, *, first_order: bool) -> Basis:
    """The basis of an order that is at hand."""
    about = Activation(order, profile, program.calendar) if program.conditions else None
    if about is not None:
        rate(order, program, profile, first_order, about)  # asks what is asked of such an order
    held = circumstances_of(order, program, profile, first_order=first_order, about=about)
    bases = bases_of(order, program.base)
    return Basis(order.occurred_at, order.currency, order.exponent, order.lines, bases, held)


def basis_of_rated(rated: RatedOrder, exponent: int) -> Basis:
    """The basis of an order, out of what was kept of it. What was not kept of its lines is empty."""
    held: Circumstances = rated.circumstances or {}
    empty = [None] * len(rated.line_ids)
    columns = zip(
        rated.line_ids,
        rated.categories,
        rated.quantities,
        held.get("brand", empty),
        held.get("sku", empty),
        strict=True,
    )
    lines = [
        {"line_id": line_id, "category": category, "quantity": quantity, "brand": brand, "sku": sku}
        for line_id, category, quantity, brand, sku in columns
    ]
    return Basis(rated.occurred_at, rated.currency, exponent, cast("list[OrderLine]", lines), rated.bases, held)


def silent_rules(basis: Basis, program: Program, rated: RatedOrder, gave: Collection[RuleId]) -> list[Silence]:
    """The rules of the program that are not among those that gave something, each with the first reason."""
    return [_why_rule(rule, basis, program, rated) for rule in program.rules if rule.rule_id not in gave]


def silent_multipliers(
    basis: Basis, program: Program, rated: RatedOrder, gave: Collection[RuleId], added: Collection[MultiplierId]
) -> list[Silence]:
    """The multipliers of the program that are not among those that added something, each with the first reason."""
    return [
        _why_multiplier(multiplier, basis, program, rated, gave)
        for multiplier in program.multipliers
        if multiplier.multiplier_id not in added
    ]


def _why_rule(rule: Rule, basis: Basis, program: Program, rated: RatedOrder) -> Silence:
    name = rule.rule_id
    if name in rated.points:
        return Silence(name, Reason.CUT, cut=rated.trimmed.get(name))
    early_or_late = _out_of_time(name, rule.during, basis.paid_at)
    if early_or_late is not None:
        return early_or_late
    if not _kept(asked_by_rule(rule), basis.held):
        return Silence(name, Reason.NOT_KEPT)
    if rule.first_order and not basis.held.get("first_order"):
        return Silence(name, Reason.NOT_FIRST_ORDER)
    return (
        _other_order(name, rule.match, basis.held)
        or _unmet(name, basis.held)
        or _too_little(rule, basis)
        or _alone(rule, basis, program, rated)
    )


def _why_multiplier(
    multiplier: Multiplier, basis: Basis, program: Program, rated: RatedOrder, gave: Collection[RuleId]
) -> Silence:
    name = multiplier.multiplier_id
    early_or_late = _out_of_time(name, multiplier.during, basis.paid_at)
    if early_or_late is not None:
        return early_or_late
    if not _kept(asked_by_multiplier(multiplier), basis.held):
        return Silence(name, Reason.NOT_KEPT)
    found = (
        _other_order(name, multiplier.match, basis.held)
        or _other_day(multiplier, basis, program)
        or _other_tier(multiplier, basis.held)
        or _unmet(name, basis.held)
    )
    if found is not None:
        return found
    if not any(rule_id in multiplier.rules for rule_id in gave):
        return Silence(name, Reason.NO_RULE_GAVE, wanted=tuple(sorted(multiplier.rules)))
    was_cut = any(rule_id in multiplier.rules for rule_id in rated.trimmed)
    return Silence(name, Reason.CUT if was_cut else Reason.LESS_THAN_A_POINT)


def _out_of_time(name: RuleId | MultiplierId, during: Window | None, paid_at: Instant) -> Silence | None:
    if during is None or during.holds(paid_at):
        return None
    if paid_at < during.begins_at:
        return Silence(name, Reason.BEFORE_ITS_TIME, at=during.begins_at)
    return Silence(name, Reason.AFTER_ITS_TIME, at=during.ends_at)


def _kept(asked: frozenset[Asked], held: Circumstances) -> bool:
    return all(name.value in held for name in asked)


def _other_order(name: RuleId | MultiplierId, match: Match, held: Circumstances) -> Silence | None:
    """What of an order as a whole is not what is wanted."""
    for wanted, had, reason in (
        (match.channels, held.get("channel"), Reason.OTHER_CHANNEL),
        (match.stores, held.get("store"), Reason.OTHER_STORE),
        (match.payment_methods, held.get("payment_method"), Reason.OTHER_PAYMENT_METHOD),
    ):
        if wanted is not None and had not in wanted:
            return Silence(name, reason, had=had, wanted=tuple(sorted(wanted)))
    return None


def _other_tier(multiplier: Multiplier, held: Circumstances) -> Silence | None:
    """Whether it names the tier that the member had."""
    tier = held.get("tier")
    if not isinstance(multiplier.factor, ByTier) or tier in multiplier.factor.factors:
        return None
    reason = Reason.NO_TIER if tier is None else Reason.OTHER_TIER
    return Silence(multiplier.multiplier_id, reason, had=tier, wanted=tuple(multiplier.factor.factors))


def _unmet(name: RuleId | MultiplierId, held: Circumstances) -> Silence | None:
    """What of its condition kept it from giving."""
    unmet = held.get("unmet", {})
    if name not in unmet:
        return None
    return Silence(name, Reason.CONDITION_FAILED if unmet[name] else Reason.CONDITION_NOT_MET)


def _other_day(multiplier: Multiplier, basis: Basis, program: Program) -> Silence | None:
    days = multiplier.days
    if days is None:
        return None
    if isinstance(days, Birthday):
        return None if basis.held.get("birthday") else Silence(multiplier.multiplier_id, Reason.NOT_BIRTHDAY)
    day = program.calendar.day_of(basis.paid_at)
    if is_on(days, day, _profile_of(basis, program)):
        return None
    return Silence(multiplier.multiplier_id, Reason.OTHER_DAY, had=day.isoformat())


def _too_little(rule: Rule, basis: Basis) -> Silence | None:
    """Whether no line counts, or those that do come to too little."""
    lines = [
        number
        for number, line in enumerate(basis.lines)
        if all((line[field] in values) is wanted for field, values, wanted in rule.match.of_line)
    ]
    if not lines:
        return Silence(rule.rule_id, Reason.NO_LINE_MATCHES)
    pieces = isinstance(rule.earning, PerItem)
    weights = [line["quantity"] for line in basis.lines] if pieces else basis.bases
    total = sum(weights[number] for number in lines)
    if total == 0:
        return Silence(rule.rule_id, Reason.NOTHING_COUNTS)
    match rule.earning:
        case Threshold(at_least):
            short, reason = at_least, Reason.BELOW_THRESHOLD
        case Step(every):
            short, reason = every, Reason.BELOW_STEP
        case Rate() | PerItem():
            return None
        case _:
            assert_never(rule.earning)
    return Silence(rule.rule_id, reason, counted=total, needed=short) if total < short else None


def _alone(rule: Rule, basis: Basis, program: Program, rated: RatedOrder) -> Silence:
    """Why a rule gave nothing for an order that it looks at: by what it would give if it were the only one."""
    unmet = basis.held.get("unmet", {})
    met = [replace(by, when=None) for by in program.multipliers if by.multiplier_id not in unmet]
    rules = (replace(rule, when=None),)
    only = replace(program, rules=rules, multipliers=tuple(met), groups={}, caps=(), budgets=(), base=PLAIN)
    profile, first_order = _profile_of(basis, program), bool(basis.held.get("first_order"))
    _, granted = rate(_order_of(basis), only, profile, first_order=first_order)
    if not granted:
        return Silence(rule.rule_id, Reason.LESS_THAN_A_POINT)
    for other in program.rules:
        if rule.group is not None and other.group == rule.group and other.rule_id in rated.points:
            choice = program.groups[rule.group]
            return Silence(rule.rule_id, Reason.OTHER_OF_GROUP, other=other.rule_id, choice=choice)
    return Silence(rule.rule_id, Reason.UNEXPLAINED)


def _order_of(basis: Basis) -> Order:
    """An order whose rating with a plain base is that of the basis."""
    held = basis.held
    amounts: Mapping[str, int] = {"list_price": 0, "discount": 0, "tax": 0, "paid_in_points": 0}
    lines = [{**line, **amounts, "paid": base} for line, base in zip(basis.lines, basis.bases, strict=True)]
    return Order(
        order_id=OrderId(""),  # neither id matters to a rating
        member_id=MemberId(""),
        currency=basis.currency,
        exponent=basis.exponent,
        paid=sum(basis.bases),
        shipping=0,
        channel=held.get("channel"),
        store=held.get("store"),
        occurred_at=basis.paid_at,
        lines=cast("list[OrderLine]", lines),
        payment_method=held.get("payment_method"),
    )


def _profile_of(basis: Basis, program: Program) -> Profile:
    """A member with the tier, and with a birthday where it was one."""
    day = program.calendar.day_of(basis.paid_at)
    return Profile(tier=basis.held.get("tier"), birthday=(day.month, day.day) if basis.held.get("birthday") else None)
