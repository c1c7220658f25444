"""Holds what came out, wherever it was run, against what a golden case expects."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pprint import pformat
from typing import Any

from tests.golden.case import Case, ExpectedLot, ExpectedPosting

PlainBalances = Mapping[str, Mapping[str, int]]
Plain = dict[str, Any]


@dataclass(frozen=True)
class Result:
    """What came out of a case, in plain words and aware datetimes, from whichever runner.

    `outcomes` by event id; of accepted orders, `lines`: order → line → rule → points, and `trimmed`: order → rule →
    points, where there are some; `postings` by member in order of
    version, each with version, kind, occurred_at, effective_at, event, program_version and movements (wallet, from,
    to, amount, rule, lot, order); `balance` and `lots` answer what a member sees at an instant after all events, a lot
    having lot, wallet, order, issued, remaining, activates_at and expires_at.
    """

    outcomes: Mapping[str, str]
    lines: Mapping[str, Mapping[str, Mapping[str, int]]]
    trimmed: Mapping[str, Mapping[str, int]]
    postings: Mapping[str, Sequence[Plain]]
    balance: Callable[[str, datetime], PlainBalances]
    lots: Callable[[str, datetime], Sequence[Plain]]


def check(case: Case, result: Result) -> None:
    """Raises `AssertionError` for the first part that differs, with both sides."""
    expect = case.expect
    _same("outcomes", dict(result.outcomes), {event: outcome.value for event, outcome in expect.outcomes.items()})
    _same("lines", _points(result.lines), _points(expect.lines))
    _same("trimmed", {order: dict(rules) for order, rules in result.trimmed.items() if rules}, expect.trimmed)
    for member, instants in expect.balances.items():
        for at, balances in instants.items():
            plain = {wallet: {bucket.value: n for bucket, n in held.items()} for wallet, held in balances.items()}
            _same(f"balances of {member} at {at.isoformat()}", _held(result.balance(member, at)), _held(plain))
    for member, views in expect.lots.items():
        for at, lots in views.items():
            found = sorted(result.lots(member, at), key=lambda lot: int(lot["lot"]))
            _same(f"lots of {member} at {at.isoformat()}", found, [_plain_lot(lot) for lot in lots])
    for member, postings in expect.postings.items():
        _check_postings(case, member, result.postings.get(member, []), postings)


def _check_postings(case: Case, member: str, found: Sequence[Plain], expected: list[ExpectedPosting]) -> None:
    """A runner may have swept further than the case looks; what came later is left out."""
    until = case.expect.until
    within = [posting for posting in found if until is None or posting["effective_at"] <= until]
    _same(f"number of postings of {member}", len(within), len(expected))
    for posting, wanted in zip(within, expected, strict=True):
        plain = _plain_posting(wanted)
        told = {name: posting[name] for name in plain} | {"movements": _any_order(posting["movements"])}
        _same(f"posting {wanted.version} of {member}", told, plain)


def _plain_posting(posting: ExpectedPosting) -> Plain:
    """What is compared of a posting: everything that the case says."""
    plain = posting.model_dump(mode="python", exclude={"movements", "kind"}, exclude_unset=True)
    movements = [movement.model_dump(mode="json", by_alias=True) for movement in posting.movements]
    return plain | {"kind": posting.kind.value, "movements": _any_order(movements)}


def _plain_lot(lot: ExpectedLot) -> Plain:
    return lot.model_dump(mode="python")


def _any_order(movements: Sequence[Plain]) -> list[Plain]:
    return sorted(movements, key=lambda movement: str(sorted(movement.items())))


def _points(orders: Mapping[str, Mapping[str, Mapping[str, int]]]) -> dict[str, dict[str, dict[str, int]]]:
    """Orders, lines and rules with points; all else is left out."""
    found = {
        order: {line: {rule: n for rule, n in rules.items() if n} for line, rules in lines.items()}
        for order, lines in orders.items()
    }
    found = {order: {line: rules for line, rules in lines.items() if rules} for order, lines in found.items()}
    return {order: lines for order, lines in found.items() if lines}


def _held(balances: PlainBalances) -> dict[str, dict[str, int]]:
    held = {wallet: {bucket: n for bucket, n in buckets.items() if n} for wallet, buckets in balances.items()}
    return {wallet: buckets for wallet, buckets in held.items() if buckets}


def _same(what: str, found: object, expected: object) -> None:
    if found != expected:
        raise AssertionError(f"{what}: found\n{pformat(found)}\nbut the case expects\n{pformat(expected)}")
