"""The core and the naive model agree on every random history, and the core keeps its books whatever happens."""

from collections import Counter
from datetime import datetime
from fractions import Fraction
from itertools import combinations
from math import floor
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.contracts.program import ProgramDocument
from shared.domain.accrue import rate as rate_order
from shared.domain.facts import Order
from shared.domain.ids import LotId, MemberId, OrderId, RuleId, Wallet
from shared.domain.model import Account, Bucket, Debt, Lot
from shared.domain.program import Program, Programs
from shared.domain.settle import settle
from shared.domain.time import Instant
from tests.property.core import Core, order_of, plain_lot
from tests.property.histories import ACROSS, TICK, History, Sweep, histories, play
from tests.property.naive_model import NaiveModel
from tests.property.naive_rating import EXPONENTS
from tests.support.orders import points_by_line

POINTS = Wallet("points")

# A new seed every run; the blob that is printed on a failure brings the example back. Histories are slow to draw on
# a busy machine, which says nothing about the core.
SETTINGS = settings(max_examples=100, deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])


@SETTINGS
@given(histories())
def test_the_core_agrees_with_the_model(history: History) -> None:
    core, model = Core(history), history.model()
    for number, step in enumerate(history.steps):
        assert core.step(step, f"e{number}") == play(model, step) or isinstance(step, Sweep)
        for member in history.members:
            assert len(core.all_postings()[member]) == len(model.member(member).postings)
            for instant in _instants(model, member):
                seen = core.balances_at(member, instant)
                assert _nonzero(seen) == _nonzero(model.balances_at(member, instant)), instant
    core.run([], history.end)
    for member in history.members:
        model.sweep(member, history.end)
        assert _unordered(core.all_postings()[member]) == _unordered(model.member(member).postings)
        assert _lots_of_core(core, member) == _lots_of_model(model, member)
        assert _points_of_core(core, member) == model.member(member).orders


@SETTINGS
@given(histories())
def test_sweeps_change_nothing(history: History) -> None:
    swept, unswept = Core(history), Core(history)
    swept.run(history.steps, history.end)
    unswept.run([step for step in history.steps if not isinstance(step, Sweep)], history.end)
    assert swept.all_postings() == unswept.all_postings()
    assert {member: account.lots for member, account in swept.accounts.items()} == {
        member: account.lots for member, account in unswept.accounts.items()
    }


@SETTINGS
@given(histories())
def test_a_decision_needs_only_the_lots_that_are_due(history: History) -> None:
    everything, due_only = Core(history), Core(history, due_only=True)
    assert due_only.run(history.steps, history.end) == everything.run(history.steps, history.end)
    assert due_only.all_postings() == everything.all_postings()


def test_of_lots_that_are_due_at_one_instant_the_oldest_comes_first() -> None:
    at = Instant(1_000_000)
    lots = [
        Lot(LotId(number), POINTS, OrderId(f"o{number}"), 10, 10, at, Instant(number * 10**12)) for number in (1, 2)
    ]
    balances = {POINTS: {Bucket.ISSUED: -20, Bucket.PENDING: 20, Bucket.DEBT: -15, Bucket.CLAWED_BACK: 15}}
    debts = (Debt(POINTS, OrderId("o0"), 15),)
    for loaded in (lots, lots[::-1]):
        lots = {lot.lot_id: lot for lot in loaded}
        account = Account(MemberId("m1"), next_due_at=at, balances=balances, lots=lots, debts=debts)
        after, (posting,) = settle(account, at, Programs([_program(Fraction(1), "USD")]))
        assert {lot.lot_id: lot.remaining for lot in after.lots.values()} == {1: 0, 2: 5}
        assert [movement.lot_id for movement in posting.movements] == [1, 1, 2, 2]


@SETTINGS
@given(histories())
def test_the_books_balance(history: History) -> None:
    core = Core(history)
    starts = dict(core.accounts)
    for number, step in enumerate(history.steps):
        core.step(step, f"e{number}")
        postings = core.all_postings()
        for member, account in core.accounts.items():
            _check_books(starts[member], account, postings[member])
    for rows in core.all_postings().values():
        assert [posting["version"] for posting in rows] == list(range(1, len(rows) + 1))
        effective = [posting["effective_at"] for posting in rows]
        assert effective == sorted(effective)


@SETTINGS
@given(
    rate=st.fractions(min_value=Fraction(1, 1000), max_value=20, max_denominator=1000),
    currency=st.sampled_from(sorted(EXPONENTS)),
    paid=st.lists(st.integers(0, 50) | st.integers(0, 10**6), min_size=1, max_size=12),
)
def test_points_are_rounded_once_and_allotted_within_one_of_the_exact_share(
    rate: Fraction, currency: str, paid: list[int]
) -> None:
    rated, granted = rate_order(_order(currency, paid), _program(rate, currency))
    exact = [rate * amount / 10 ** EXPONENTS[currency] for amount in paid]
    given_points = rated.points.get(RuleId("base"), [0] * len(paid))
    assert sum(given_points) == sum(points for _, points in granted) == floor(sum(exact))
    assert all(abs(points - share) < 1 for points, share in zip(given_points, exact, strict=True))
    # Of lines that were paid alike, the lower one has the odd point.
    assert all(
        first >= second
        for (first, share), (second, other) in combinations(zip(given_points, exact, strict=True), 2)
        if share == other
    )


def _instants(model: NaiveModel, member_id: str) -> list[datetime]:
    """Just before, at and just after every instant at which something of the member falls due."""
    member = model.member(member_id)
    changes = {at for lot in member.open_lots() for at in (lot.activates_at, lot.expires_at) if at}
    return [at + tick for at in sorted(changes) for tick in (-TICK, 0 * TICK, TICK) if at + tick >= member.settled_to]


def _nonzero(balances: dict[str, dict[str, int]]) -> dict[str, dict[str, int]]:
    return {
        wallet: {bucket: points for bucket, points in buckets.items() if points}
        for wallet, buckets in balances.items()
        if any(buckets.values())
    }


def _unordered(postings: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Postings whose movements stand in no particular order."""
    return [
        posting
        | {
            "movements": Counter(tuple(sorted(row.items(), key=str)) for row in posting["movements"]),
            "balances": _nonzero(posting["balances"]),
        }
        for posting in postings
    ]


def _lots_of_core(core: Core, member: str) -> list[tuple[Any, ...]]:
    lots = next(account.lots for name, account in core.accounts.items() if name == member)
    return [plain_lot(lot) for lot in lots.values() if lot.remaining and (ACROSS[lot.wallet] or lot.due_at)]


def _lots_of_model(model: NaiveModel, member: str) -> list[tuple[Any, ...]]:
    return [
        (lot.number, lot.wallet, lot.order_id, lot.issued, lot.remaining, lot.activates_at, lot.expires_at)
        for lot in model.member(member).open_lots()
    ]


def _points_of_core(core: Core, member: str) -> dict[str, dict[str, dict[str, int]]]:
    return {
        rated.order_id: {line: points for line, points in points_by_line(rated).items() if points}
        for rated in core.orders.values()
        if rated.member_id == member
    }


def _check_books(start: Account, account: Account, postings: list[dict[str, Any]]) -> None:
    totals: Counter[tuple[str, str]] = Counter()
    for wallet, buckets in start.balances.items():
        totals.update({(wallet, bucket.value): points for bucket, points in buckets.items()})
    for posting in postings:
        for row in posting["movements"]:
            assert row["amount"] > 0
            totals[row["wallet"], row["from"]] -= row["amount"]
            totals[row["wallet"], row["to"]] += row["amount"]
    for wallet, buckets in account.balances.items():
        assert sum(buckets.values()) == 0
        assert all(points == totals[wallet, bucket.value] for bucket, points in buckets.items())
        if ACROSS[wallet]:
            in_lots = sum(lot.remaining for lot in account.lots.values() if lot.wallet == wallet)
            assert in_lots == buckets.get(Bucket.PENDING, 0) + buckets.get(Bucket.AVAILABLE, 0)
        owed = sum(debt.amount for debt in account.debts if debt.wallet == wallet)
        assert owed == -buckets.get(Bucket.DEBT, 0)
    assert all(0 <= lot.remaining <= lot.issued for lot in account.lots.values())


def _program(rate: Fraction, currency: str) -> Program:
    document = {
        "program": "one-rule",
        "version": 1,
        "effective_from": "1970-01-01T00:00:00Z",
        "zone": "UTC",
        "currency": currency,
        "wallets": {"points": {"spendable": True, "expiry": "never"}},
        "rules": [{"id": "base", "wallet": "points", "rate": str(rate)}],
    }
    return ProgramDocument.model_validate(document).to_domain()


def _order(currency: str, paid: list[int]) -> Order:
    line = {"sku": "apple", "category": None, "brand": None, "quantity": 1, "discount": 0, "tax": 0}
    return order_of(
        {
            "order_id": "o1",
            "member_id": "m1",
            "currency": currency,
            "paid": sum(paid),
            "shipping": 0,
            "channel": None,
            "store": None,
            "occurred_at": "2026-01-02T00:00:00+00:00",
            "lines": [
                line | {"line_id": f"l{number}", "list_price": amount, "paid": amount, "paid_in_points": 0}
                for number, amount in enumerate(paid)
            ],
        }
    )
