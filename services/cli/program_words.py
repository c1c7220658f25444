"""A program in words: what it gives to whom, and what a new version changes."""

from fractions import Fraction

from shared.contracts.money import EXPONENTS
from shared.contracts.program import MatchDocument, PendingDocument, ProgramDocument, RuleDocument, WalletDocument
from shared.domain.program import Choice
from shared.domain.time import DAY_US, SECOND_US

Words = dict[str, list[str]]
"""Sentences by what they are about."""

_UNITS = ((DAY_US, "day"), (3600 * SECOND_US, "hour"), (60 * SECOND_US, "minute"), (SECOND_US, "second"))


def explained(document: ProgramDocument) -> Words:
    """What a program says."""
    return {
        "program": [
            (
                f"{document.program}, version {document.version}, decides what happened from"
                f" {document.effective_from.isoformat()} on."
            ),
            f"Days, months and years are those of {document.zone.key}; money is {document.currency}.",
        ],
        "wallets": [f"{name}: {_wallet(wallet)}." for name, wallet in document.wallets.items()],
        "earning": [f"{name}: {said}." for name, said in _earning(document).items()],
        "base": [_base(document)],
        "time": [_tolerances(document)],
    }


def changes(old: ProgramDocument, new: ProgramDocument) -> Words:
    """What is otherwise in `new`, and for whom; empty where only the version and its first instant are."""
    found = {
        "wallets": _changed(
            {name: _wallet(wallet) for name, wallet in old.wallets.items()},
            {name: _wallet(wallet) for name, wallet in new.wallets.items()},
            "points that were issued before keep their dates",
        ),
        "earning": _changed(
            _earning(old),
            _earning(new),
            "orders that were paid before keep what they earned",
        ),
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


def _wallet(wallet: WalletDocument) -> str:
    kind = "points to spend" if wallet.spendable else "a counter that is never spent"
    expiry = wallet.expiry
    if expiry is None:
        return f"{kind}, good for ever"
    if expiry.days is not None:
        return f"{kind}, good through the {_ordinal(expiry.days)} day after they become active"
    if expiry.months is not None:
        return f"{kind}, good through the same day {_count(expiry.months, 'month')} after they become active"
    years = expiry.end_of_year or 0
    year = "the year in which they become active" if years == 0 else f"the {_ordinal(years)} year after that"
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


def _rule(rule: RuleDocument, currency: str) -> str:
    said = f"{_gives(rule, currency)}{_match(rule.match)}"
    if rule.during is not None:
        said += f", paid from {rule.during.from_.isoformat()} until {rule.during.until.isoformat()}"
    said += f", into {rule.wallet}"
    return said if rule.pending is None else f"{said}, {_pending(rule.pending)}"


def _gives(rule: RuleDocument, currency: str) -> str:
    """How much a rule gives for what it counts."""
    if rule.step is not None:
        return f"{_count(rule.step.points, 'point')} for every full {_money(rule.step.every, currency)}"
    if rule.threshold is not None:
        points = _count(rule.threshold.points, "point")
        return f"{points} once an order comes to {_money(rule.threshold.from_, currency)}"
    if rule.per_item is not None:
        return f"{_count(rule.per_item, 'point')} for every piece"
    return _rate(rule.rate or Fraction(0), currency)


def _money(amount: Fraction, currency: str) -> str:
    """An amount as the currency is written: 200.00 USD, 200 JPY."""
    digits = EXPONENTS[currency]
    units, rest = divmod(int(amount * 10**digits), 10**digits)
    return f"{units:,}.{rest:0{digits}} {currency}" if digits else f"{units:,} {currency}"


def _rate(rate: Fraction, currency: str) -> str:
    per = currency if rate.denominator == 1 else f"{rate.denominator:,} {currency}"
    return f"{_count(rate.numerator, 'point')} for every {per}"


def _match(match: MatchDocument) -> str:
    of_line = [
        f"{name} {_either(words)}"
        for name, words in (("category", match.categories), ("brand", match.brands), ("SKU", match.skus))
        if words is not None
    ]
    of_order = [
        f"{name} {_either(words)}"
        for name, words in (("channel", match.channels), ("store", match.stores))
        if words is not None
    ]
    lines = f" of lines with {' and '.join(of_line)}" if of_line else ""
    return f"{lines} in orders with {' and '.join(of_order)}" if of_order else lines


def _pending(pending: PendingDocument) -> str:
    if pending.exact:
        return f"pending for {pending.days * 24} hours"
    return f"pending through the {_ordinal(pending.days)} day after the payment"


def _base(document: ProgramDocument) -> str:
    counted = ["the money paid for a line after discounts"]
    counted += ["its tax"] if document.base.tax else []
    counted += ["what was paid for it in points"] if document.base.paid_in_points else []
    counted += ["its part of the shipping"] if document.base.shipping else []
    return f"What counts is {', and '.join(counted)}."


def _tolerances(document: ProgramDocument) -> str:
    return (
        f"An order is refused when it arrives more than {_duration(document.late_tolerance)} after it was paid, or more"
        f" than {_duration(document.future_tolerance)} before."
    )


def _duration(us: int) -> str:
    for unit_us, name in _UNITS:
        if us and us % unit_us == 0:
            return _count(us // unit_us, name)
    return "0 seconds"


def _either(words: list[str]) -> str:
    return " or ".join(words)


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def _ordinal(number: int) -> str:
    last = number % 10 if number % 100 not in (11, 12, 13) else 0
    return f"{number:,}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(last, 'th') }"


def _lower(sentence: str) -> str:
    return sentence[0].lower() + sentence[1:]
