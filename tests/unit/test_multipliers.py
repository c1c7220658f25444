"""What multipliers make of an order, for a member with a tier, a birthday, a first order."""

from datetime import UTC, date, datetime
from typing import Any

import pytest

from shared.contracts.program import ProgramDocument
from shared.domain.accrue import rate
from shared.domain.decide import decide
from shared.domain.facts import Event, EventRef, Order
from shared.domain.ids import EventId, EventSource, LineId, MemberId, OrderId
from shared.domain.member import NOBODY, Profile
from shared.domain.model import BALANCE_LIMIT, Account, Outcome
from shared.domain.program import Program, Programs
from shared.domain.time import instant_of

NOON = datetime(2026, 5, 20, 4, tzinfo=UTC)
"""Twelve o'clock in Shanghai."""

BASE = {"id": "base", "wallet": "points", "rate": "1"}
TIER = {"id": "tier", "by_tier": {"silver": "1.2", "gold": "1.5"}}
GOLD, SILVER = Profile(tier="gold"), Profile(tier="silver")


def program(
    *multipliers: dict[str, Any], rules: list[dict[str, Any]] | None = None, stacking: str = "additive", **more: Any
) -> Program:
    document: dict[str, Any] = {
        "program": "shop",
        "version": 1,
        "effective_from": "2000-01-01T00:00:00Z",
        "zone": "Asia/Shanghai",
        "currency": "CNY",
        "wallets": {
            "points": {"spendable": True, "expiry": "never"},
            "growth": {"spendable": False, "expiry": "never"},
        },
        "rules": rules or [BASE],
        "tiers": [{"id": "silver"}, {"id": "gold"}],
        "stacking": stacking,
    }
    if multipliers:
        document["multipliers"] = list(multipliers)
    return ProgramDocument.model_validate(document | more).to_domain()


def order(*paid: int, at: datetime = NOON) -> Order:
    lines: Any = [
        {
            "line_id": LineId(str(number)),
            "sku": "tea",
            "category": None,
            "brand": None,
            "quantity": 1,
            "list_price": amount,
            "discount": 0,
            "tax": 0,
            "paid": amount,
            "paid_in_points": 0,
        }
        for number, amount in enumerate(paid)
    ]
    return Order(
        OrderId("o1"), MemberId("m1"), "CNY", 2, sum(paid), 0, None, None, instant_of(at), lines, payment_method=None
    )


def granted(by: Program, paid: Order, profile: Profile = NOBODY, first_order: bool = False) -> dict[str, int]:
    """What each part of each rule gave."""
    return {str(rule.rule_id): points for rule, points in rate(paid, by, profile, first_order)[1]}


def test_g2_a_tier_is_a_part_of_its_own() -> None:
    assert granted(program(TIER), order(9990), SILVER) == {"base": 99, "base/tier": 20}


@pytest.mark.parametrize(("stacking", "campaign"), [("additive", 100), ("multiplicative", 120)])
def test_g3_a_tier_and_a_campaign(stacking: str, campaign: int) -> None:
    """219 points when they add up, 239 when they multiply. The tier comes first, wherever it stands."""
    by = program({"id": "campaign", "factor": 2}, TIER, stacking=stacking)
    assert granted(by, order(9990), SILVER) == {"base": 99, "base/tier": 20, "base/campaign": campaign}


def test_the_frozen_points_of_a_line_are_the_rules_in_all() -> None:
    rated, _ = rate(order(5990, 11995, 2005), program(TIER), SILVER)
    assert rated.points == {"base": [71, 144, 24]}
    assert rated.trimmed == {}


@pytest.mark.parametrize(
    "profile", [NOBODY, Profile(tier="bronze"), Profile(birthday=(5, 20), tags=frozenset({"gold"}))]
)
def test_no_tier_and_another_tier_multiply_nothing(profile: Profile) -> None:
    assert granted(program(TIER), order(9990), profile) == {"base": 99}


def test_a_factor_of_one_is_no_part() -> None:
    by = program({"id": "tier", "by_tier": {"silver": 1}}, {"id": "plus", "factor": "1.0"})
    assert granted(by, order(9990), SILVER) == {"base": 99}


def test_a_part_that_comes_to_nothing_is_no_part() -> None:
    by = program({"id": "little", "factor": "1.001"}, {"id": "plus", "factor": "1.5"})
    assert granted(by, order(100), NOBODY) == {"base": 1}
    assert granted(by, order(200), NOBODY) == {"base": 2, "base/plus": 1}


def test_a_rule_may_be_all_part() -> None:
    assert granted(program(TIER), order(70), GOLD) == {"base/tier": 1}


def test_parts_stack_as_they_are_listed() -> None:
    """0.5 × 1.5 = 0.75 and 0.5 × 1.4 = 0.7, but 0.5 × 2.1 = 1.05: the point is due to the one that comes last."""
    one, other = {"id": "one", "factor": "1.5"}, {"id": "other", "factor": "1.4"}
    assert granted(program(one, other, stacking="multiplicative"), order(50)) == {"base/other": 1}
    assert granted(program(other, one, stacking="multiplicative"), order(50)) == {"base/one": 1}
    assert list(granted(program(one, other), order(9990))) == ["base", "base/one", "base/other"]
    assert list(granted(program(other, one), order(9990))) == ["base", "base/other", "base/one"]


def test_thirds_are_exact() -> None:
    """Three thirds more are one more: 99.99 × 2 = 199.98, with nothing lost on the way."""
    thirds = [{"id": f"third-{number}", "factor": "4/3"} for number in range(3)]
    assert sum(granted(program(*thirds), order(9999)).values()) == 199
    assert sum(granted(program(*thirds), order(10000)).values()) == 200
    assert sum(granted(program(*thirds, stacking="multiplicative"), order(2700)).values()) == 64


@pytest.mark.parametrize(
    ("birthday", "day", "counts"),
    [
        ((5, 20), date(2026, 5, 20), True),
        ((5, 20), date(2026, 5, 21), False),
        ((5, 20), date(2026, 6, 20), False),
        (None, date(2026, 5, 20), False),
        ((2, 29), date(2024, 2, 29), True),
        ((2, 29), date(2024, 2, 28), False),
        ((2, 29), date(2026, 2, 28), True),
        ((2, 29), date(2026, 3, 1), False),
        ((2, 29), date(2100, 2, 28), True),
        ((2, 28), date(2024, 2, 28), True),
        ((2, 28), date(2024, 2, 29), False),
    ],
)
def test_a_birthday(birthday: tuple[int, int] | None, day: date, counts: bool) -> None:
    by = program({"id": "birthday", "factor": 2, "days": "birthday"})
    paid = order(1000, at=datetime(day.year, day.month, day.day, 4, tzinfo=UTC))
    expected = {"base": 10, "base/birthday": 10} if counts else {"base": 10}
    assert granted(by, paid, Profile(birthday=birthday)) == expected


def test_a_birthday_is_one_of_the_programs_zone() -> None:
    by = program({"id": "birthday", "factor": 2, "days": "birthday"})
    midnight = datetime(2026, 5, 19, 16, tzinfo=UTC)
    before = datetime(2026, 5, 19, 15, 59, 59, 999_999, tzinfo=UTC)
    member = Profile(birthday=(5, 20))
    assert granted(by, order(1000, at=midnight), member) == {"base": 10, "base/birthday": 10}
    assert granted(by, order(1000, at=before), member) == {"base": 10}


def test_a_month_without_the_day_has_no_member_day() -> None:
    by = program({"id": "last", "factor": 2, "days": {"days_of_month": [31]}})
    days = [datetime(2026, month, day, 4, tzinfo=UTC) for month, day in ((4, 30), (5, 30), (5, 31))]
    assert [len(granted(by, order(1000, at=at))) for at in days] == [1, 1, 2]


def test_a_tier_may_have_a_time_too() -> None:
    window = {"from": "2026-05-20T04:00:00Z", "until": "2026-05-20T04:00:01Z"}
    by = program(TIER | {"during": window})
    assert granted(by, order(1000), GOLD) == {"base": 10, "base/tier": 5}
    assert granted(by, order(1000, at=datetime(2026, 5, 20, 4, 0, 1, tzinfo=UTC)), GOLD) == {"base": 10}


def test_first_order() -> None:
    rules = [BASE, {"id": "welcome", "wallet": "points", "threshold": {"from": 1, "points": 50}, "first_order": True}]
    by = program(rules=rules)
    assert granted(by, order(1000), first_order=True) == {"base": 10, "welcome": 50}
    assert granted(by, order(1000)) == {"base": 10}


def test_rules_that_count_alike_but_for_what_adjusts_them_are_counted_apart() -> None:
    rules = [
        BASE,
        BASE | {"id": "growth", "wallet": "growth"},
        BASE | {"id": "more", "at_least": 25},
        BASE | {"id": "less", "at_most": 5},
        BASE | {"id": "not", "match": {"exclude_skus": ["tea"]}},
        BASE | {"id": "only", "match": {"skus": ["tea"]}},
    ]
    by = program({"id": "double", "factor": 2, "rules": ["base"]}, rules=rules)
    paid = granted(by, order(1000))
    assert paid == {"base": 10, "base/double": 10, "growth": 10, "more": 25, "less": 5, "only": 10}


def test_rules_that_count_alike_share_their_parts_and_not_their_names() -> None:
    rules = [BASE, BASE | {"id": "growth", "wallet": "growth"}]
    by = program(TIER, rules=rules)
    assert [number for _, number, _ in by.alike] == [0, 0]
    expected = {"base": 99, "base/tier": 20, "growth": 99, "growth/tier": 20}
    assert granted(by, order(9990), SILVER) == expected


@pytest.mark.parametrize(("at_least", "at_most", "given"), [(None, 10, 10), (10, 10, 10), (None, 9, 9), (11, 12, 11)])
def test_limits_are_reached_and_not_passed(at_least: int | None, at_most: int, given: int) -> None:
    limits = {"at_most": at_most} | ({} if at_least is None else {"at_least": at_least})
    rated, gave = rate(order(1000), program(rules=[BASE | limits]))
    assert [points for _, points in gave] == [given]
    assert sum(rated.points["base"]) - rated.trimmed.get("base", 0) == given


def test_a_rule_that_its_group_shuts_out_has_trimmed_nothing() -> None:
    rules = [
        BASE | {"group": "one", "at_most": 5},
        {"id": "piece", "wallet": "points", "per_item": 7, "group": "one"},
    ]
    rated, gave = rate(order(1000), program(rules=rules, groups={"one": "best"}))
    assert [(rule.rule_id, points) for rule, points in gave] == [("piece", 7)]
    assert (list(rated.points), rated.trimmed) == (["piece"], {})


@pytest.mark.parametrize(("paid", "outcome"), [(10**12, Outcome.POSTED), (10**12 + 1, Outcome.BALANCE_LIMIT_REACHED)])
def test_what_no_account_may_hold_is_refused_and_not_trimmed(paid: int, outcome: Outcome) -> None:
    """10,000,000,000.00 at 10,000 × 100 × 100 are 10^18. Untrimmed points are frozen, and so must be kept."""
    rules = [BASE | {"rate": 10_000, "at_most": 5}]
    by = program({"id": "one", "factor": 100}, {"id": "other", "factor": 100}, rules=rules, stacking="multiplicative")
    event = Event(EventRef(EventSource("/shop"), EventId("e1"), "paid"), instant_of(NOON), order(paid))
    decision = decide(Account(MemberId("m1")), event, Programs([by]))
    assert decision.outcome is outcome
    if decision.order is not None:
        assert decision.order.points == {"base": [BALANCE_LIMIT]}
        assert decision.order.trimmed == {"base": BALANCE_LIMIT - 5}


def test_a_decision_knows_nobody_without_a_profile_and_a_first_order_without_orders() -> None:
    rules = [BASE, BASE | {"id": "welcome", "first_order": True}]
    by = program(TIER, {"id": "birthday", "factor": 2, "days": "birthday"}, rules=rules)
    event = Event(EventRef(EventSource("/shop"), EventId("e1"), "paid"), instant_of(NOON), order(1000))
    (posting,) = decide(Account(MemberId("m1")), event, Programs([by])).postings
    assert [(move.rule_id, move.amount) for move in posting.movements] == [("base", 10), ("welcome", 10)]
