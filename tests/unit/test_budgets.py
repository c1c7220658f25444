"""Budgets are told in words, refused where they cannot be, and go on counting from one version to the next."""

from datetime import date, datetime
from uuid import UUID

import pytest

from services.cli.program_words import changes, explained
from shared.contracts.program import ProgramError, parse_program
from shared.contracts.program_succession import obstacles
from shared.domain.budget import Lease, given_back, needs, rooms
from shared.domain.ids import BudgetId, RuleId
from shared.domain.program_budgets import BudgetKey
from shared.domain.program_caps import Excess
from shared.domain.room import Room, cut
from shared.domain.tally import Period
from shared.domain.time import instant_of
from shared.ledger.budgets import BudgetUse, Held, Leased, Reach, ShortOfBudgetError
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


FUND = BudgetKey(BudgetId("fund"), Period.EVER, None)
DAY = BudgetKey(BudgetId("day"), Period.DAY, date(2026, 3, 10))


def leased(key: BudgetKey = FUND, size: int = 100) -> Leased:
    """Of 100 units, 60 are leased: 30 of them are used, this batch's lease has 10 left, and others have 20."""
    return Leased(key, size, [UUID(int=1)], leased=60, own=10, others=20)


@pytest.mark.parametrize(
    ("reached", "short", "further"),
    [
        (Reach.OWN_LEASE, 40, Reach.UNLEASED),  # nobody has leased 40
        (Reach.OWN_LEASE, 41, Reach.ALL),
        (Reach.OWN_LEASE, 60, Reach.ALL),  # those 40, and the others' 20
        (Reach.OWN_LEASE, 61, Reach.OWN_LEASE),
        (Reach.UNLEASED, 20, Reach.ALL),  # who has the 40 already can get 20 more
        (Reach.UNLEASED, 21, Reach.UNLEASED),
        (Reach.ALL, 1, Reach.ALL),
    ],
)
def test_a_batch_reaches_as_far_as_what_it_lacks_is_to_be_had(reached: Reach, short: int, further: Reach) -> None:
    assert leased().further(short, reached) is further


def test_a_batch_may_use_its_own_lease_and_what_nobody_has_once_it_reaches_for_it() -> None:
    """What is used, or leased to others, is 50 in either case."""
    assert leased().lease(Reach.OWN_LEASE) == Lease(10, 50)
    assert leased().lease(Reach.UNLEASED) == Lease(10 + 40, 50)
    # A version made the budget smaller than what is leased of it: there is nothing that nobody has.
    assert leased(size=55).lease(Reach.UNLEASED) == Lease(10, 50)


def test_a_batch_begins_anew_as_far_as_the_budget_that_needs_the_furthest() -> None:
    held = Held(budgets={FUND: leased(), DAY: leased(DAY)})
    held.check({})
    held.check({FUND: 61})
    with pytest.raises(ShortOfBudgetError) as short:
        held.check({FUND: 61, DAY: 40})
    assert short.value.reach is Reach.UNLEASED
    with pytest.raises(ShortOfBudgetError) as short:
        held.check({FUND: 41, DAY: 40})
    assert short.value.reach is Reach.ALL


def test_what_is_used_of_a_lease_is_elsewhere_and_what_is_given_back_is_there_again() -> None:
    assert Lease(10, 50).after(3) == Lease(7, 53)
    assert Lease(10, 50).after(-3) == Lease(13, 47)
    assert Lease(None, 50).after(3) == Lease(None, 53)


AT = instant_of(datetime.fromisoformat("2026-03-10T04:00:00Z"))
MONEY = BUDGETS.replace("excess: skip", "during: {from: 2026-03-10T00:00:00+08:00, until: 2026-03-11T00:00:00+08:00}")
MARCH = BudgetKey(BudgetId("fund"), Period.MONTH, date(2026, 3, 1))
SPRING = BudgetKey(BudgetId("spring"), Period.EVER, None)


@pytest.mark.parametrize(
    ("lease", "left"),
    [
        (Lease(None, 0), 1_000_000),
        (Lease(None, 999_000), 1_000),
        (Lease(300, 999_000), 300),
        (Lease(3_000, 999_000), 1_000),  # a version has made the budget smaller than what is leased of it
        (Lease(3_000, 1_000_001), 0),
    ],
)
def test_a_budget_has_room_for_what_the_lease_and_its_size_allow(lease: Lease, left: int) -> None:
    program = parse_program(SHOP + BUDGETS).to_domain()
    found = {key: room.left for key, room in rooms(program, AT, {MARCH: lease})}
    assert found == {MARCH: left, SPRING: 20_000 * 100 * 10**6}


@pytest.mark.parametrize(
    ("at", "asked"),
    [
        ("2026-03-09T23:59:59+08:00", {MARCH}),
        ("2026-03-10T00:00:00+08:00", {MARCH, SPRING}),
        ("2026-03-10T23:59:59+08:00", {MARCH, SPRING}),
        ("2026-03-11T00:00:00+08:00", {MARCH}),
    ],
)
def test_a_budget_for_a_time_is_asked_within_it_alone(at: str, asked: set[BudgetKey]) -> None:
    program = parse_program(SHOP + MONEY).to_domain()
    assert {key for key, _ in needs(program, instant_of(datetime.fromisoformat(at)))} == asked


def test_points_that_are_taken_back_give_their_cost_back() -> None:
    """A point costs 0.01 CNY, a million of the units that money is counted in; growth is in no budget."""
    program = parse_program(SHOP + BUDGETS).to_domain()
    taken = {RuleId("base"): 7, RuleId("review"): 5, RuleId("growth"): 9}
    assert given_back(AT, taken, program) == {MARCH: -12, SPRING: -7 * 10**6}
    assert given_back(AT, {RuleId("growth"): 9}, program) == {}
