"""Budgets are told in words, refused where they cannot be, and go on counting from one version to the next."""

from datetime import date

import pytest

from services.cli.program_words import changes, explained
from shared.contracts.program import ProgramError, parse_program
from shared.contracts.program_succession import obstacles
from shared.domain.ids import BudgetId, RuleId
from shared.domain.program_budgets import BudgetKey
from shared.domain.program_caps import Excess
from shared.domain.room import Room, cut
from shared.domain.tally import Period
from shared.ledger.budgets import BudgetUse
from shared.ledger.programs import overspent

SHOP = """\
program: shop
version: 1
effective_from: "2026-03-01T00:00:00+08:00"
zone: Asia/Shanghai
currency: CNY
wallets:
  points: {spendable: true, expiry: never, point_cost: 0.01}
  growth: {spendable: false, expiry: never}
rules:
  - {id: base, wallet: points, rate: 1}
  - {id: growth, wallet: growth, rate: 1}
behaviours:
  - {id: review, behaviour: review, wallet: points, points: 5}
  - {id: spam, behaviour: spam, wallet: points, points: -20}
"""

BUDGETS = """\
budgets:
  - {id: fund, wallet: points, points: 1000000, per: month}
  - {id: spring, rules: [base], money: 20000, excess: skip}
"""


def test_they_are_explained() -> None:
    said = explained(parse_program(SHOP + BUDGETS))
    assert said["budgets"] == [
        (
            "fund: base and review give all members together at most 1,000,000 points a month; what is beyond is not"
            " given."
        ),
        "spring: base give all members together at most 20,000.00 CNY; what does not fit is not given at all.",
    ]
    assert said["wallets"][0] == "points: points to spend, good for ever; a point costs 0.01 CNY."


def test_what_a_new_version_changes_about_them() -> None:
    old = parse_program(SHOP + BUDGETS)
    new = parse_program(SHOP.replace("version: 1", "version: 2") + BUDGETS.replace("20000", "30000"))
    (said,) = changes(old, new)["budgets"]
    assert said.startswith("spring becomes: base give all members together at most 30,000.00 CNY")
    assert said.endswith("what is used of a budget that stays goes on counting.")


@pytest.mark.parametrize(
    ("budget", "message"),
    [
        ("{id: base, points: 5}", r"budgets\[0\]\.id: 'base' is used twice"),
        ("{id: b, wallet: miles, points: 5}", r"budgets\[0\]\.wallet: 'miles' is not one of points, growth"),
        ("{id: b, rules: [base, lost], points: 5}", r"budgets\[0\]\.rules\[1\]: 'lost' is no rule, behaviour"),
        ("{id: b, rules: [spam], points: 5}", r"budgets\[0\]\.rules\[0\]: 'spam' is no rule, .* that gives points"),
        ("{id: b}", r"budgets\[0\]: give either points or money"),
        ("{id: b, points: 5, money: 5}", r"budgets\[0\]: give either points or money"),
        ("{id: b, rules: [base], wallet: points, points: 5}", r"budgets\[0\]: give either rules, or the wallet"),
        ("{id: b, points: 5, per: campaign}", r"budgets\[0\]: .* give it with during"),
        ("{id: b, points: 0}", r"budgets\[0\]\.points: Input should be greater"),
        ("{id: b, money: 0.001, wallet: points}", r"budgets\[0\]\.money: CNY has 2 decimals"),
        ("{id: b, money: 5}", r"budgets\[0\]\.money: say in wallets\.growth\.point_cost what a point of it costs"),
    ],
)
def test_a_budget_that_cannot_be_is_refused_with_its_path(budget: str, message: str) -> None:
    with pytest.raises(ProgramError, match=message):
        parse_program(f"{SHOP}budgets:\n  - {budget}\n")


def test_a_points_cost_that_is_no_whole_number_of_units_is_refused() -> None:
    with pytest.raises(ProgramError, match=r"wallets\.points\.point_cost: .* millionths of the smallest coin of CNY"):
        parse_program(SHOP.replace("0.01", "0.000000001"))


def test_a_budget_keeps_what_it_is_counted_in() -> None:
    old = parse_program(SHOP + BUDGETS)
    new = parse_program(
        SHOP.replace("version: 1", "version: 2").replace("03-01", "04-01")
        + BUDGETS.replace("money: 20000", "points: 20000")
    )
    assert obstacles(new, [old], begun=True) == [
        "budgets[1].points: 'spring' is counted in money; give a new budget another id"
    ]


def test_a_budget_smaller_than_what_is_used_of_it_is_refused() -> None:
    document = parse_program(SHOP + BUDGETS)

    def use(budget: str, per: Period, first_day: date | None, used: int) -> BudgetUse:
        return BudgetUse(BudgetKey(BudgetId(budget), per, first_day), used, 0)

    assert overspent(document, [use("spring", Period.EVER, None, 2_000_000 * 10**6)]) == []
    assert overspent(document, [use("spring", Period.EVER, None, 2_000_000 * 10**6 + 1)]) == [
        (
            "budgets[1].money: 20,000.01 CNY are used of 'spring' already; give it at least so much, or a new one"
            " another id"
        )
    ]
    # A month that is over by then may have used more; the one in which the version begins may not.
    assert overspent(document, [use("fund", Period.MONTH, date(2026, 2, 1), 1_000_001)]) == []
    assert overspent(document, [use("fund", Period.MONTH, date(2026, 3, 1), 1_000_001)]) == [
        "budgets[0].points: 1,000,001 are used of 'fund' already; give it at least so much, or a new one another id"
    ]


def test_a_budget_is_short_only_where_more_of_it_would_give_more() -> None:
    """Of 10 points, one budget has room for 4 and another for none: more of the first would change nothing."""
    rule = RuleId("base")
    four, none, other = (Room({rule: 2}, Excess.TRIM, 9), Room({rule: 1}, Excess.TRIM, 0), Room({}, Excess.TRIM, 0))
    assert cut({rule: 10}, [], [four, none, other]) == {rule: 10}
    assert (four.short, none.short, other.short) == (0, 1, 0)
    assert cut({rule: 10}, [], [four]) == {rule: 6}
    assert (four.used, four.short) == (8, 1)  # with one unit more, there were two for a fifth point
    skipping = Room({rule: 2}, Excess.SKIP, 9)
    assert cut({rule: 10}, [], [skipping]) == {rule: 10}
    assert skipping.short == 11
