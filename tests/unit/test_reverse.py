"""What refunds of an order come to, at the edges: exact parts, nothing too much, and a threshold's bonus."""

from collections.abc import Sequence

import pytest

from shared.contracts.program import parse_program
from shared.domain.facts import GivenBack, Refund, RefundReason
from shared.domain.ids import LineId, MemberId, OrderId, ProgramVersion, RefundId, RuleId
from shared.domain.model import RatedOrder
from shared.domain.program import Program
from shared.domain.reverse import ALL, NONE, Part, Refunded, claws, refunded, remaining
from shared.domain.time import Instant

BONUS = RuleId("bonus")


def order(paid: Sequence[int], pieces: int = 7, counted: Sequence[int] | None = None) -> RatedOrder:
    """An order of lines l1, l2 … of so many pieces each, which were paid so; its bonus is 50 points of the first."""
    lines = range(1, len(paid) + 1)
    return RatedOrder(
        OrderId("o1"),
        MemberId("m1"),
        Instant(0),
        "CNY",
        sum(paid),
        ProgramVersion(1),
        [LineId(f"l{number}") for number in lines],
        [None for _ in lines],
        [pieces for _ in lines],
        paid,
        paid,
        {BONUS: [50, *[0 for _ in lines][1:]]},
        {},
        {} if counted is None else {BONUS: counted},
    )


def refund(line: int = 1, *, pieces: int = 0, money: int = 0, whole: int = 0) -> Refund:
    """Pieces or money of a line are given back, or money for the order as a whole."""
    lines = (GivenBack(LineId(f"l{line}"), pieces, money),) if pieces or money else ()
    of = (RefundId("r1"), OrderId("o1"), MemberId("m1"), "CNY", RefundReason.RETURN)
    return Refund(*of, full=False, lines=lines, amount=whole, shipping=0, occurred_at=Instant(0))


def test_money_for_a_line_that_cost_nothing_is_too_much_and_gives_nothing_of_it_back() -> None:
    assert refunded(order([0, 1000]), [refund(1, money=1)]) == Refunded([NONE, NONE], too_much=True)
    assert refunded(order([0, 1000]), [refund(2, money=1)]) == Refunded([NONE, (1, 1000)], too_much=False)


@pytest.mark.parametrize(
    ("whole", "part", "too_much"), [(1999, (2999, 3000), False), (2000, ALL, False), (2001, ALL, True)]
)
def test_an_order_may_give_back_what_its_lines_have_left_and_no_more(whole: int, part: Part, too_much: bool) -> None:
    """A piece of three that cost 30.00 together came back: 20.00 are left."""
    back = [refund(pieces=1), refund(whole=whole)]
    assert refunded(order([3000], pieces=3), back) == Refunded([part], too_much)


def test_money_for_the_order_gives_nothing_of_a_line_back_that_cost_nothing() -> None:
    assert refunded(order([0, 1000]), [refund(whole=400)]).parts == [NONE, (2, 5)]


def test_what_is_left_is_exact() -> None:
    """Two thirds of 10 and five sixths of 20 are 70 thirds."""
    assert remaining([10, 20], [(1, 3), (1, 6)]) == (70, 3)
    assert remaining([10, 20], [ALL, NONE]) == (20, 1)


@pytest.mark.parametrize(
    ("on_refund", "paid", "pieces_back", "taken"),
    [
        # 200.00 have to remain of the order. Of 280.00 in seven pieces two leave just that, and three leave 160.00.
        ("recompute", 28_000, 2, 0),
        ("recompute", 28_000, 3, 50),
        # Of 300.00 four sevenths are 171.42…, and three sevenths more than 200.00 only if the sevenths are forgotten.
        ("recompute", 30_000, 2, 0),
        ("recompute", 30_000, 3, 50),
        # Half of the order has to remain: four sevenths are enough, three are not.
        ("keep", 30_000, 3, 0),
        ("keep", 30_000, 4, 50),
    ],
)
def test_a_bonus_stays_while_enough_of_the_order_remains(
    on_refund: str, paid: int, pieces_back: int, taken: int
) -> None:
    bought = order([paid])
    parts = refunded(bought, [refund(pieces=pieces_back)]).parts
    assert [points for _, points in claws(bought, parts, program(on_refund))] == [taken]


def test_a_bonus_looks_at_the_lines_that_it_counted() -> None:
    """It counted the 300.00 of the first line alone. Four of seven pieces leave 128.57 of them."""
    bought = order([30_000, 90_000], counted=[30_000, 0])
    parts = refunded(bought, [refund(pieces=4)]).parts
    assert [points for _, points in claws(bought, parts, program("recompute"))] == [50]
    assert [points for _, points in claws(bought, parts, program("keep"))] == [50]


def program(on_refund: str) -> Program:
    """50 points for an order of at least 200.00."""
    return parse_program(f"""\
program: shop
version: 1
effective_from: "2026-01-01T00:00:00Z"
zone: UTC
currency: CNY
wallets:
  points: {{spendable: true, expiry: never}}
rules:
  - {{id: bonus, wallet: points, threshold: {{from: 200, points: 50, on_refund: {on_refund}}}}}
""").to_domain()
