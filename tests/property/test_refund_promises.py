"""What refunds promise, whatever the program is: held on random orders, refunds and spends that all happen at once.

A failure names its seed, and `SEED=… python -m pytest tests/property/test_refund_promises.py` plays the same again.
"""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import pytest

from shared.domain.ids import MemberId
from shared.domain.model import Account, Bucket
from shared.domain.program import Programs
from tests.property.core import Core, programs_of
from tests.property.histories import AdjustmentArrival, Arrival, History, RefundArrival, Step
from tests.property.streams import START, program, stream

SEED = int(os.environ.get("SEED") or Random().randrange(10**9))
PARTS = range(5)
PROGRAMS = 20
STREAMS = 50

HELD = (Bucket.PENDING, Bucket.AVAILABLE, Bucket.EXPIRED)
SHORT = (Bucket.DEBT, Bucket.WRITTEN_OFF, Bucket.CASH_OFFSET)
"""What a refund could not take, below zero."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """Orders, refunds that fit them, and points that are spent, with the dice that chose them."""

    place: str
    random: Random
    programs: Programs
    orders: Sequence[Arrival]
    refunds: Sequence[RefundArrival]
    spends: Sequence[AdjustmentArrival]

    def after(self, *steps: Step) -> Account:
        """The member's account after some of it."""
        core = Core(History([], [], list(steps), START), self.programs)
        for number, step in enumerate(steps):
            core.step(step, f"e{number}")
        return core.accounts[MemberId("m1")]


def chosen(part: int) -> Iterator[Chosen]:
    for number in range(PROGRAMS):
        random = Random(f"{SEED}-{part}-{number}")
        document = program(random)
        programs = programs_of([document])
        for each in range(STREAMS):
            steps = stream(random, document).steps
            at = {"occurred_at": START.isoformat()}
            orders = {step.order["order_id"]: step.order for step in steps if isinstance(step, Arrival)}
            refunds = [step.data for step in steps if isinstance(step, RefundArrival) and _fits(step.data, orders)]
            spends = [step.data for step in steps if isinstance(step, AdjustmentArrival) and step.data["points"] < 0]
            yield Chosen(
                f"SEED={SEED}: part {part}, program {number}, stream {each}",
                random,
                programs,
                [Arrival(START, order | at) for order in orders.values()],
                [RefundArrival(START, data | at | {"refund_id": f"r{n}"}) for n, data in enumerate(refunds)],
                [AdjustmentArrival(START, data | at) for data in spends],
            )


@pytest.mark.parametrize("part", PARTS)
def test_it_makes_no_difference_how_refunds_are_split_or_ordered(part: int) -> None:
    for case in chosen(part):
        together = [_together(case.refunds, order.order["order_id"]) for order in case.orders]
        shuffled = [*case.orders, *case.refunds]
        case.random.shuffle(shuffled)
        one_by_one = _books(case.after(*case.orders, *case.refunds))
        assert one_by_one == _books(case.after(*shuffled)), case.place
        assert one_by_one == _books(case.after(*case.orders, *together)), case.place


@pytest.mark.parametrize("part", PARTS)
def test_an_order_that_is_given_back_in_full_leaves_what_was_before(part: int) -> None:
    for case in chosen(part):
        *others, order = case.orders
        order_id = order.order["order_id"]
        partly = [refund for refund in case.refunds if refund.data["order_id"] == order_id]
        full = RefundArrival(START, _together(partly, order_id).data | {"full": True, "lines": [], "amount": 0})
        before = case.after(*others, *case.spends)
        after = case.after(*others, *case.spends, order, *partly, full)
        assert _in(before, *HELD, *SHORT) == _in(after, *HELD, *SHORT), case.place
        assert _open_lots(before) == _open_lots(after), case.place
        assert before.debts == after.debts, case.place


@pytest.mark.parametrize("part", PARTS)
def test_earning_spending_and_refunds_in_any_order_print_no_points(part: int) -> None:
    """Whoever mixes them has no point more than somebody who gave back first and spent then."""
    for case in chosen(part):
        mixed = [*case.orders, *case.refunds, *case.spends]
        case.random.shuffle(mixed)
        undisturbed, disturbed = case.after(*case.orders, *case.refunds), case.after(*mixed)
        spent = _in(disturbed, Bucket.ADJUSTED)
        left = _in(disturbed, *HELD, *SHORT)
        assert Counter(left) + Counter(spent) == Counter(_in(undisturbed, *HELD)), case.place
        for held in disturbed.balances.values():
            assert not (held.get(Bucket.DEBT) and held.get(Bucket.AVAILABLE)), case.place


def _fits(refund: dict[str, Any], orders: dict[str, dict[str, Any]]) -> bool:
    order = orders.get(refund["order_id"])
    lines = {line["line_id"] for line in refund.get("lines", [])}
    return order is not None and refund["currency"] == "CNY" and lines <= {line["line_id"] for line in order["lines"]}


def _together(refunds: Sequence[RefundArrival], order_id: str) -> RefundArrival:
    """All refunds of an order as a single one."""
    of_order = [refund.data for refund in refunds if refund.data["order_id"] == order_id]
    return RefundArrival(
        START,
        {
            "refund_id": "together",
            "order_id": order_id,
            "member_id": "m1",
            "currency": "CNY",
            "full": any(data.get("full") for data in of_order),
            "lines": [line for data in of_order for line in data.get("lines", [])],
            "amount": sum(data.get("amount", 0) for data in of_order),
            "shipping": 1,
            "occurred_at": START.isoformat(),
        },
    )


def _in(account: Account, *buckets: Bucket) -> dict[str, int]:
    """The points of some buckets together, by wallet."""
    sums = {wallet: sum(held.get(bucket, 0) for bucket in buckets) for wallet, held in account.balances.items()}
    return {wallet: points for wallet, points in sums.items() if points}


def _open_lots(account: Account) -> list[Any]:
    return [lot for lot in account.lots.values() if lot.remaining]


def _books(account: Account) -> Any:
    """Balances, what each order has left by the day on which it falls due, and debts."""
    lots: Counter[Any] = Counter()
    for lot in _open_lots(account):
        lots[lot.order_id, lot.wallet, lot.expires_at, lot.activates_at] += lot.remaining
    return [_in(account, bucket) for bucket in Bucket], lots, sorted(map(str, account.debts))
