"""Why a rule gave nothing: the first reason, and the same one out of what the ledger keeps of an order."""

from typing import Any

import orjson
import pytest

from shared.contracts.program import ProgramDocument
from shared.domain.accrue import rate
from shared.domain.circumstances import Asked, circumstances_of
from shared.domain.condition import Activation
from shared.domain.explain import Basis, Reason, Silence, basis_of, basis_of_rated, silent_multipliers, silent_rules
from shared.domain.facts import Order
from shared.domain.ids import MemberId, OrderId, RuleId
from shared.domain.member import NOBODY, Profile
from shared.domain.model import Outcome, RatedOrder
from shared.domain.program import Choice, Program
from shared.ledger.orders import dump_lines
from shared.reads.reasons import outcome_says, says
from tests.support.habits import instant

PAID_AT = instant("2026-05-20T04:00:00Z")
BASE = {"id": "base", "wallet": "points", "rate": "1"}


def program(*rules: dict[str, Any], **more: Any) -> Program:
    document: dict[str, Any] = {
        "program": "shop",
        "version": 1,
        "effective_from": "2000-01-01T00:00:00Z",
        "zone": "Asia/Shanghai",
        "currency": "CNY",
        "wallets": {"points": {"spendable": True, "expiry": "never"}},
        "tiers": [{"id": "silver"}, {"id": "gold"}],
        "rules": [{"wallet": "points", **rule} for rule in rules],
    }
    return ProgramDocument.model_validate(document | more).to_domain()


def order(*lines: dict[str, Any], **more: Any) -> Order:
    whole: Any = [
        {
            "line_id": str(number),
            "sku": "tea",
            "category": None,
            "brand": None,
            "quantity": 1,
            "list_price": 1000,
            "discount": 0,
            "tax": 0,
            "paid": 1000,
            "paid_in_points": 0,
            **line,
        }
        for number, line in enumerate(lines or ({},), 1)
    ]
    paid = sum(line["paid"] for line in whole)
    return Order(OrderId("o"), MemberId("m"), "CNY", 2, paid, 0, None, None, PAID_AT, whole, **more)


def rated_by(some: Order, by: Program, profile: Profile, first_order: bool) -> RatedOrder:
    about = Activation(some, profile, by.calendar)
    rated, _ = rate(some, by, profile, first_order, about)
    if by.asks:
        rated.circumstances = circumstances_of(some, by, profile, first_order=first_order, about=about)
    return rated


def why(by: Program, some: Order | None = None, profile: Profile = NOBODY, first_order: bool = True) -> list[Silence]:
    """What gave nothing, by what is at hand; what was kept must say the same."""
    some = some or order()
    rated = rated_by(some, by, profile, first_order)
    gave = [rule_id for rule_id, points in rated.points.items() if sum(points) > rated.trimmed.get(rule_id, 0)]

    def silent(basis: Basis) -> list[Silence]:
        return [*silent_rules(basis, by, rated, gave), *silent_multipliers(basis, by, rated, gave, ())]

    found = silent(basis_of(some, by, profile, first_order=first_order))
    assert silent(basis_of_rated(rated, 2)) == found
    return found


RULES: list[tuple[dict[str, Any], Reason]] = [
    ({"during": {"from": "2026-06-01T00:00:00Z", "until": "2026-07-01T00:00:00Z"}}, Reason.BEFORE_ITS_TIME),
    ({"during": {"from": "2026-04-01T00:00:00Z", "until": "2026-05-01T00:00:00Z"}}, Reason.AFTER_ITS_TIME),
    ({"match": {"channels": ["app"]}}, Reason.OTHER_CHANNEL),
    ({"match": {"stores": ["S-1"]}}, Reason.OTHER_STORE),
    ({"match": {"payment_methods": ["card"]}}, Reason.OTHER_PAYMENT_METHOD),
    ({"match": {"skus": ["coffee"]}}, Reason.NO_LINE_MATCHES),
    ({"match": {"exclude_skus": ["tea"]}}, Reason.NO_LINE_MATCHES),
    ({"match": {"brands": ["Private"], "channels": ["app"]}}, Reason.OTHER_CHANNEL),
]


@pytest.mark.parametrize(("asks", "reason"), RULES)
def test_each_reason_has_its_name(asks: dict[str, Any], reason: Reason) -> None:
    (silence,) = why(program({"id": "rule", "rate": "1", **asks}))
    assert (silence.name, silence.reason) == ("rule", reason)


def test_amounts_that_are_too_small_are_told() -> None:
    by = program(
        {"id": "big", "threshold": {"from": 200, "points": 50}},
        {"id": "step", "step": {"every": 20, "points": 1}},
        {"id": "small", "rate": "1/100"},
    )
    assert why(by) == [
        Silence(RuleId("big"), Reason.BELOW_THRESHOLD, counted=1000, needed=20000),
        Silence(RuleId("step"), Reason.BELOW_STEP, counted=1000, needed=2000),
        Silence(RuleId("small"), Reason.LESS_THAN_A_POINT),
    ]


def test_goods_that_were_free_count_nothing() -> None:
    (silence,) = why(program({"id": "rule", "rate": "1"}), order({"paid": 0, "list_price": 0}))
    assert silence.reason is Reason.NOTHING_COUNTS


def test_another_rule_of_the_group_is_named() -> None:
    by = program(
        {"id": "one", "rate": "1", "group": "g"}, {"id": "two", "rate": "2", "group": "g"}, groups={"g": "best"}
    )
    assert why(by) == [Silence(RuleId("one"), Reason.OTHER_OF_GROUP, other=RuleId("two"), choice=Choice.BEST)]


def test_only_the_first_order_is_welcome() -> None:
    by = program({"id": "welcome", "rate": "1", "first_order": True})
    assert why(by) == []
    (silence,) = why(by, first_order=False)
    assert silence.reason is Reason.NOT_FIRST_ORDER


@pytest.mark.parametrize(
    ("multiplier", "profile", "reason"),
    [
        ({"by_tier": {"gold": "2"}}, Profile(), Reason.NO_TIER),
        ({"by_tier": {"gold": "2"}}, Profile(tier="silver"), Reason.OTHER_TIER),
        ({"factor": "2", "days": "birthday"}, Profile(birthday=(5, 21)), Reason.NOT_BIRTHDAY),
        ({"factor": "2", "days": {"weekdays": ["monday"]}}, Profile(), Reason.OTHER_DAY),
        ({"factor": "2", "match": {"channels": ["app"]}}, Profile(), Reason.OTHER_CHANNEL),
        ({"factor": "1.01", "days": "birthday"}, Profile(birthday=(5, 20)), Reason.LESS_THAN_A_POINT),
    ],
)
def test_a_multiplier_that_added_nothing_has_a_reason(
    multiplier: dict[str, Any], profile: Profile, reason: Reason
) -> None:
    (silence,) = why(program(BASE, multipliers=[{"id": "more", **multiplier}]), profile=profile)
    assert (silence.name, silence.reason) == ("more", reason)


def test_what_was_not_kept_is_said_to_be_unknown() -> None:
    by = program({"id": "brand", "rate": "1", "match": {"brands": ["Private"]}}, {"id": "small", "rate": "1/100"})
    rated, _ = rate(order(), by)
    found = silent_rules(basis_of_rated(rated, 2), by, rated, ())
    assert [silence.reason for silence in found] == [Reason.NOT_KEPT, Reason.LESS_THAN_A_POINT]


def test_only_what_is_asked_is_kept() -> None:
    some = order(payment_method="card")
    plain = rated_by(some, program(BASE), Profile(tier="gold"), True)
    assert b"asked" not in dump_lines(plain)
    asking = program({"id": "rule", "rate": "1", "match": {"brands": ["Private"], "payment_methods": ["card"]}})
    assert asking.asks == (Asked.BRAND, Asked.PAYMENT_METHOD)
    kept = orjson.loads(dump_lines(rated_by(some, asking, Profile(tier="gold"), True)))["asked"]
    assert kept == {"brand": [None], "payment_method": "card"}


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_is_a_sentence(reason: Reason) -> None:
    said = says(Silence(RuleId("rule"), reason), "CNY", program(BASE).calendar.zone)
    assert said[0].isupper()
    assert said.endswith(".")


@pytest.mark.parametrize("outcome", list(Outcome))
def test_every_outcome_is_a_sentence(outcome: Outcome) -> None:
    assert outcome_says(outcome).endswith(".")


FAILING = "order.paid * (order.paid == 1000 ? 9223372036854775807 : 1) > 0"


@pytest.mark.parametrize(
    ("when", "reason"),
    [
        ("order.paid > 1000", Reason.CONDITION_NOT_MET),
        (FAILING, Reason.CONDITION_FAILED),
        ("order.paid > 999", None),
    ],
)
def test_a_condition_that_did_not_hold_is_the_reason(when: str, reason: Reason | None) -> None:
    found = why(program({**BASE, "when": when}))
    assert [silence.reason for silence in found] == ([] if reason is None else [reason])
    by = program(BASE, multipliers=[{"id": "more", "factor": 2, "when": when}])
    assert [silence.reason for silence in why(by)] == [reason or Reason.LESS_THAN_A_POINT]


def test_a_condition_that_held_is_not_the_reason() -> None:
    """Each is said by what it would have given alone."""
    held = {"when": "order.paid > 999", "group": "one"}
    by = program({**BASE, "rate": "2", "group": "one"}, {**BASE, "id": "other", **held}, groups={"one": "best"})
    assert [silence.reason for silence in why(by)] == [Reason.OTHER_OF_GROUP]
    small = program({**BASE, "rate": "1/100", "when": "order.paid > 999"})
    assert [silence.reason for silence in why(small)] == [Reason.LESS_THAN_A_POINT]
