"""A program in words: what it gives to whom, and what a new version changes."""

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction

from services.cli.member_words import behaviours, budgets, caps, referrals, refunds, streaks, tasks
from services.cli.wording import count, duration, either, listed, ordinal
from shared.contracts.condition_asking import CelCondition
from shared.contracts.money import minor_units, money
from shared.contracts.program import ProgramDocument
from shared.contracts.program_filters import WEEKDAYS, DaysDocument, MatchDocument, OrderMatchDocument, WindowDocument
from shared.contracts.program_multipliers import MultiplierDocument
from shared.contracts.program_rules import PendingDocument, RuleDocument
from shared.contracts.program_wallets import WalletDocument
from shared.domain.multiplier import Stacking
from shared.domain.program import Choice

Words = dict[str, list[str]]
"""Sentences by what they are about."""


def explained(document: ProgramDocument) -> Words:
    """What a program says."""
    said = {
        "program": [
            (
                f"{document.program}, version {document.version}, decides what happened from"
                f" {document.effective_from.isoformat()} on."
            ),
            f"Days, months and years are those of {document.zone.key}; money is {document.currency}.",
        ],
        "wallets": [f"{name}: {said}." for name, said in _wallets(document).items()],
        "earning": [f"{name}: {rule}." for name, rule in _earning(document).items()],
        "multipliers": [f"{name}: {multiplier}." for name, multiplier in _multipliers(document).items()],
        "caps": [f"{name}: {cap}." for name, cap in caps(document).items()],
        "budgets": [f"{name}: {budget}." for name, budget in budgets(document).items()],
        "behaviours": [f"{name}: {said}." for name, said in behaviours(document).items()],
        "check-ins": [f"{name}: {said}." for name, said in streaks(document).items()],
        "tasks": [f"{name}: {said}." for name, said in tasks(document).items()],
        "referrals": [f"{name}: {said}." for name, said in referrals(document).items()],
        "refunds": refunds(document),
        "base": [_base(document)],
        "time": [_tolerances(document)],
    }
    if len(document.multipliers) > 1:
        said["multipliers"].append(_STACKED[document.stacking])
    return {about: lines for about, lines in said.items() if lines}


def changes(old: ProgramDocument, new: ProgramDocument) -> Words:
    """What is otherwise in `new`, and for whom; empty where only the version and its first instant are."""
    found = {
        "wallets": _changed(
            _wallets(old),
            _wallets(new),
            "points that were issued before keep their dates",
        ),
        "earning": _changed(
            _earning(old),
            _earning(new),
            "orders that were paid before keep what they earned",
        ),
        "multipliers": _changed(
            _multipliers(old),
            _multipliers(new),
            "orders that were paid before keep what they earned",
        )
        + _stacked_otherwise(old, new),
        "caps": _changed(caps(old), caps(new), "what is used of a cap that stays goes on counting"),
        "budgets": _changed(budgets(old), budgets(new), "what is used of a budget that stays goes on counting"),
        "behaviours": _changed(behaviours(old), behaviours(new), "what was given or taken before stays"),
        "check-ins": _changed(streaks(old), streaks(new), "days that were checked in before keep what they gave"),
        "tasks": _changed(tasks(old), tasks(new), "steps that were done before stay done"),
        "referrals": _changed(
            referrals(old), referrals(new), "who was invited before still gets what was promised then"
        ),
        "refunds": []
        if refunds(old) == refunds(new)
        else [*refunds(new), "Orders that were paid before go by the version that was in force then."],
        "base": [] if old.base == new.base else [f"{_base(new)} Until then: {_lower(_base(old))}"],
        "time": []
        if _tolerances(old) == _tolerances(new)
        else [f"{_tolerances(new)} Until then: {_lower(_tolerances(old))}"],
    }
    return {about: lines for about, lines in found.items() if lines}


def _changed(old: dict[str, str], new: dict[str, str], kept: str) -> list[str]:
    gone = [f"{name} ends; {kept}. It was: {said}." for name, said in old.items() if name not in new]
    come = [f"{name} is new: {said}." for name, said in new.items() if name not in old]
    other = [
        f"{name} becomes: {said}. Until then: {old[name]}; {kept}."
        for name, said in new.items()
        if name in old and old[name] != said
    ]
    return other + come + gone


def _wallets(document: ProgramDocument) -> dict[str, str]:
    """What each wallet is, by its name."""
    said = {name: _wallet(wallet) for name, wallet in document.wallets.items()}
    for name, wallet in document.wallets.items():
        if wallet.point_cost is not None:
            said[name] += f"; a point costs {_number(wallet.point_cost)} {document.currency}"
    return said


def _wallet(wallet: WalletDocument) -> str:
    kind = "points to spend" if wallet.spendable else "a counter that is never spent"
    expiry = wallet.expiry
    if expiry is None:
        return f"{kind}, good for ever"
    if expiry.days is not None:
        return f"{kind}, good through the {ordinal(expiry.days)} day after they become active"
    if expiry.months is not None:
        return f"{kind}, good through the same day {count(expiry.months, 'month')} after they become active"
    years = expiry.end_of_year or 0
    year = "the year in which they become active" if years == 0 else f"the {ordinal(years)} year after that"
    return f"{kind}, good through the end of {year}"


def _earning(document: ProgramDocument) -> dict[str, str]:
    """What each rule gives, by its id."""
    said = {}
    for rule in document.rules:
        said[rule.id] = _rule(rule, document.currency)
        if rule.group is not None:
            said[rule.id] += f"; of {rule.group}, only {_CHOSEN[document.groups[rule.group]]}"
    return said


_CHOSEN = {
    Choice.FIRST: "the first that gives some for an order",
    Choice.BEST: "the one that gives the most for an order",
}


_STACKED = {
    Stacking.ADDITIVE: "Several for one order add up: two times 1.5 are 2.",
    Stacking.MULTIPLICATIVE: "Several for one order multiply each other: two times 1.5 are 2.25.",
}


def _rule(rule: RuleDocument, currency: str) -> str:
    said = f"{_gives(rule, currency)}{_match(rule.match)}{_limits(rule)}"
    if rule.first_order:
        said += ", for a member's first order only"
    said += f"{_when(rule.when)}{_during(rule.during)}, into {rule.wallet}"
    return said if rule.pending is None else f"{said}, {_pending(rule.pending)}"


def _limits(rule: RuleDocument) -> str:
    limits = [
        f"{name} {count(points, 'point')}"
        for name, points in (("at least", rule.at_least), ("at most", rule.at_most))
        if points is not None
    ]
    return f", {' and '.join(limits)} an order" if limits else ""


def _multipliers(document: ProgramDocument) -> dict[str, str]:
    """What each multiplier does, by its id, in the order in which they stack."""
    by_tier_first = sorted(document.multipliers, key=lambda multiplier: multiplier.by_tier is None)
    return {multiplier.id: _multiplier(multiplier, document.multiplied_by(multiplier)) for multiplier in by_tier_first}


def _stacked_otherwise(old: ProgramDocument, new: ProgramDocument) -> list[str]:
    """What a new version changes about multipliers that meet, though none of them is another."""
    before, after = list(_multipliers(old)), list(_multipliers(new))
    found = [_STACKED[new.stacking]] if len(after) > 1 and old.stacking != new.stacking else []
    if [name for name in before if name in after] != [name for name in after if name in before]:
        found.append(f"They stack in another order: {', '.join(after)}. Until then: {', '.join(before)}.")
    return found


def _multiplier(multiplier: MultiplierDocument, rules: list[str]) -> str:
    said = f"{_factors(multiplier)} times what {listed(rules)} would give"
    if multiplier.days is not None:
        said += f", on {_days(multiplier.days)}"
    return f"{said}{_orders(multiplier.match)}{_when(multiplier.when)}{_during(multiplier.during)}"


def _factors(multiplier: MultiplierDocument) -> str:
    if multiplier.by_tier is not None:
        return listed([f"for {tier} {_number(factor)}" for tier, factor in multiplier.by_tier.items()])
    return _number(multiplier.factor or Fraction(1))


def _number(number: Fraction) -> str:
    """As a decimal where it has an end, else as a fraction: 1.2, 4/3."""
    digits = next((digits for digits in range(31) if (number * 10**digits).denominator == 1), None)
    if digits is None:
        return f"{number.numerator:,}/{number.denominator:,}"
    return f"{Decimal(number.numerator) / Decimal(number.denominator):f}"


def _days(days: DaysDocument) -> str:
    if days.days_of_month is not None:
        return f"the {listed([ordinal(day) for day in sorted(set(days.days_of_month))])} of a month"
    if days.weekdays is not None:
        return listed([f"{day.capitalize()}s" for day in sorted(set(days.weekdays), key=WEEKDAYS.index)])
    return "the member's birthday"


def _when(condition: CelCondition | None) -> str:
    return "" if condition is None else f", when {' '.join(condition.expression.split())}"


def _during(window: WindowDocument | None) -> str:
    if window is None:
        return ""
    return f", paid from {window.from_.isoformat()} until {window.until.isoformat()}"


def _gives(rule: RuleDocument, currency: str) -> str:
    """How much a rule gives for what it counts."""
    if rule.step is not None:
        every = money(minor_units(rule.step.every, currency), currency)
        return f"{count(rule.step.points, 'point')} for every full {every}"
    if rule.threshold is not None:
        points = count(rule.threshold.points, "point")
        return f"{points} once an order comes to {money(minor_units(rule.threshold.from_, currency), currency)}"
    if rule.per_item is not None:
        return f"{count(rule.per_item, 'point')} for every piece"
    return _rate(rule.rate or Fraction(0), currency)


def _rate(rate: Fraction, currency: str) -> str:
    per = currency if rate.denominator == 1 else f"{rate.denominator:,} {currency}"
    return f"{count(rate.numerator, 'point')} for every {per}"


def _match(match: MatchDocument) -> str:
    lines = [f"with {name} {either(words)}" for name, words in _given(match, ("categories", "brands", "skus"))]
    excluded = ("exclude_categories", "exclude_brands", "exclude_skus")
    lines += [f"without {name} {either(words)}" for name, words in _given(match, excluded)]
    of_lines = f" of lines {' and '.join(lines)}" if lines else ""
    return of_lines + _orders(match)


def _orders(match: MatchDocument | OrderMatchDocument) -> str:
    found = [f"{name} {either(words)}" for name, words in _given(match, ("channels", "stores", "payment_methods"))]
    return f" in orders with {' and '.join(found)}" if found else ""


_FILTERED = {
    "categories": "category",
    "brands": "brand",
    "skus": "SKU",
    "channels": "channel",
    "stores": "store",
    "payment_methods": "payment method",
}


def _given(match: MatchDocument | OrderMatchDocument, filters: Sequence[str]) -> list[tuple[str, list[str]]]:
    """What some filters look at, and for which words, where they are given."""
    found = [(_FILTERED[name.removeprefix("exclude_")], getattr(match, name)) for name in filters]
    return [(name, words) for name, words in found if words is not None]


def _pending(pending: PendingDocument) -> str:
    if pending.days is None:
        return f"pending until {pending.until} is told of the order"
    told = "" if pending.until is None else f", or until {pending.until} is told of the order"
    if pending.exact:
        return f"pending for {pending.days * 24} hours{told}"
    return f"pending through the {ordinal(pending.days)} day after the payment{told}"


def _base(document: ProgramDocument) -> str:
    counted = ["the money paid for a line after discounts"]
    counted += ["its tax"] if document.base.tax else []
    counted += ["what was paid for it in points"] if document.base.paid_in_points else []
    counted += ["its part of the shipping"] if document.base.shipping else []
    return f"What counts is {', and '.join(counted)}."


def _tolerances(document: ProgramDocument) -> str:
    return (
        f"An order is refused when it arrives more than {duration(document.late_tolerance)} after it was paid, or more"
        f" than {duration(document.future_tolerance)} before."
    )


def _lower(sentence: str) -> str:
    return sentence[0].lower() + sentence[1:]
