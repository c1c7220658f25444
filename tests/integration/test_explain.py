"""What became of an order, over HTTP and as a command: every point with its rule, its lot and its refunds."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from services.cli import explain
from shared.domain.facts import Sweep
from shared.domain.ids import MemberId
from shared.ledger.batch import Batch
from shared.settings import Settings
from tests.integration.explaining import PROGRAM, refunded, taken
from tests.integration.reading import HandClock, api, at, paid, post_all
from tests.support.installing import Make, show_to_commands

PAID_AT = "2026-03-10T15:00:00Z"
LATER = "2026-03-11T15:00:00Z"


@pytest.fixture
async def settings(make_installation: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Settings:
    """A fresh installation, which commands find in the environment."""
    made = await make_installation(PROGRAM)
    show_to_commands(made, monkeypatch, tmp_path)
    return made


async def invoke(*arguments: str) -> Result:
    runner = CliRunner(env={"COLUMNS": "200"})
    return await asyncio.to_thread(lambda: runner.invoke(explain.app, arguments))


async def explained(settings: Settings, order_id: str = "A-1", now: str = LATER) -> dict[str, Any]:
    async with api(settings, HandClock(now)) as client:
        answer = await client.get(f"/v1/orders/{order_id}/points", params={"member_id": "M-1"})
    assert answer.status_code == 200
    document: dict[str, Any] = answer.json()
    for lot in document["lots"]:
        rest = ("left", "in_balance", "expired", "taken_back", "repaid_debt", "taken_otherwise")
        assert lot["issued"] == sum(lot[part] for part in rest)
    return document


def reasons(document: dict[str, Any]) -> dict[str, str]:
    rules = {each["rule"]: each["reason"] for each in document["silent_rules"]}
    return rules | {each["multiplier"]: each["reason"] for each in document["silent_multipliers"]}


async def test_every_point_of_an_order_has_its_line_its_rule_and_its_lot(settings: Settings) -> None:
    await post_all(settings, Batch(events=[paid("M-1", "A-1", PAID_AT, 12000, brand="Private")]))

    document = await explained(settings)

    assert (document["accepted"], document["program_version"], document["paid"]) == (True, 1, 12000)
    (line,) = document["lines"]
    assert (line["base"], line["brand"]) == (12000, "Private")
    assert line["points"] == {"base": 120, "house-brand": 60, "welcome": 10, "growth": 120}
    assert document["rules"][0] == {
        "rule": "base",
        "wallet": "points",
        "points": 100,
        "own": 100,
        "multipliers": [],
        "trimmed": 20,
    }
    assert reasons(document) == {
        "big-basket": "below_threshold",
        "app": "other_channel",
        "spring": "before_its_time",
        "birthday": "not_birthday",
    }
    says = {each["rule"]: each["says"] for each in document["silent_rules"]}
    assert says["big-basket"] == "The goods that count come to 120.00 USD; it takes 200.00 USD."
    now, pending = document["lots"]
    assert (now["state"], now["issued"], now["left"], now["expires_at"]) == ("active", 110, 110, "2026-06-11T04:00:00Z")
    assert (pending["state"], pending["issued"], pending["pending_until"]) == ("pending", 60, "2026-03-25T04:00:00Z")


async def test_what_limits_caps_and_budgets_cut_stands_beside_the_lines(
    make_installation: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Each order comes to 120 of base, at most 100; 60 of house-brand, at most 25 ever; and 120 of growth, of which 150
    are there for all. So the second one has 100, none and 30."""
    limits = """
caps:
  - {id: house, rules: [house-brand], per: ever, points: 25}
budgets:
  - {id: fund, rules: [growth], points: 150}
"""
    settings = await make_installation(PROGRAM + limits)
    show_to_commands(settings, monkeypatch, tmp_path)
    await post_all(settings, Batch(events=[paid("M-1", f"A-{n}", PAID_AT, 12000, brand="Private") for n in (1, 2)]))

    first, second = await explained(settings, "A-1"), await explained(settings, "A-2")

    assert first["trimmed"] == {"base": 20, "house-brand": 35}
    assert second["trimmed"] == {"base": 20, "house-brand": 60, "growth": 90}
    for document in (first, second):
        (line,) = document["lines"]
        gave = {each["rule"]: each["points"] for each in document["rules"]}
        assert {rule: points - document["trimmed"].get(rule, 0) for rule, points in line["points"].items()} == gave
    shown = await invoke("order", "A-2", "--member", "M-1")
    assert "It earned 100 points, 30 growth." in shown.stdout
    cut = "20 of base (which gave 100), all 60 of house-brand and 90 of growth (which gave 30)"
    assert f"Of these points by rule, limits, caps and budgets cut {cut}." in shown.stdout


async def test_what_was_first_order_or_another_brand_is_remembered(settings: Settings) -> None:
    orders = [paid("M-1", f"A-{number}", PAID_AT, 1000) for number in (1, 2)]
    await post_all(settings, Batch(events=orders))
    assert "welcome" not in reasons(await explained(settings, "A-1"))
    second = reasons(await explained(settings, "A-2"))
    assert (second["welcome"], second["house-brand"]) == ("not_first_order", "no_line_matches")


async def test_what_a_multiplier_added_stands_by_itself(make_installation: Make) -> None:
    days = PROGRAM.replace("days: birthday", "days: {days_of_month: [10]}").replace(", at_most: 100", ", at_most: 150")
    settings = await make_installation(days)
    await post_all(settings, Batch(events=[paid("M-1", "A-1", PAID_AT, 10000)]))
    base = (await explained(settings))["rules"][0]
    assert (base["points"], base["own"], base["trimmed"]) == (150, 100, 50)
    assert base["multipliers"] == [{"multiplier": "birthday", "points": 50}]


async def test_a_refund_says_what_it_asked_for_and_where_it_took_it(settings: Settings) -> None:
    order = paid("M-1", "A-1", PAID_AT, 8000, brand="Private")
    returned = refunded("A-1", "M-1", at(LATER), lines=[{"line_id": "1", "amount": 4000}])
    await post_all(settings, Batch(events=[order, returned]))

    document = await explained(settings, now="2026-03-12T00:00:00Z")

    (refund,) = document["refunds"]
    assert refund["outcome"] == "posted"
    assert refund["asked"] == {"base": 40, "house-brand": 20, "growth": 40}
    assert [(each["rule"], each["points"], each["from"]) for each in refund["took"]] == [
        ("base", 40, "pending"),
        ("house-brand", 20, "own_lot"),
        ("growth", 40, "balance"),
    ]
    assert [(lot["state"], lot["left"], lot["taken_back"]) for lot in document["lots"]] == [
        ("active", 70, 20),
        ("used", 0, 40),
    ]


async def test_points_that_were_gone_come_from_other_lots_and_then_are_owed(settings: Settings) -> None:
    ended = "2026-06-12T00:00:00Z"
    await post_all(settings, Batch(events=[paid("M-1", "A-1", PAID_AT, 5000)]))
    await post_all(settings, Batch(sweeps=[Sweep(MemberId("M-1"), at(ended))]))
    await post_all(settings, Batch(events=[refunded("A-1", "M-1", at("2026-06-13T00:00:00Z"))]))
    document = await explained(settings, now="2026-06-14T00:00:00Z")
    took = [(each["rule"], each["points"], each["from"]) for each in document["refunds"][0]["took"]]
    assert ("base", 50, "expired") in took
    assert document["lots"][0]["state"] == "ended"


async def test_what_was_spent_is_owed_and_then_repaid_out_of_the_next_order(settings: Settings) -> None:
    await post_all(settings, Batch(events=[paid("M-1", "A-1", PAID_AT, 5000)]))
    await post_all(settings, Batch(events=[taken("M-1", 45, at(LATER))]))
    returned = refunded("A-1", "M-1", at("2026-03-12T00:00:00Z"))
    await post_all(settings, Batch(events=[returned, paid("M-1", "A-2", "2026-03-13T00:00:00Z", 8000)]))

    first = await explained(settings, now="2026-03-14T00:00:00Z")
    second = await explained(settings, "A-2", now="2026-03-14T00:00:00Z")

    took = [(each["points"], each["from"]) for each in first["refunds"][0]["took"] if each["wallet"] == "points"]
    assert sum(points for points, _ in took) == 60
    assert sum(points for points, place in took if place == "debt") == 45
    assert first["lots"][0]["taken_otherwise"] == 45
    assert (second["lots"][0]["repaid_debt"], second["lots"][0]["left"]) == (45, 35)


async def test_a_counter_that_waited_counts_in_its_balance(make_installation: Make) -> None:
    settings = await make_installation(
        PROGRAM.replace("wallet: growth, rate: 1", "wallet: growth, rate: 1, pending: {days: 3}")
    )
    await post_all(settings, Batch(events=[paid("M-1", "A-1", PAID_AT, 5000)]))
    waits = (await explained(settings))["lots"][-1]
    assert (waits["state"], waits["left"]) == ("pending", 50)
    await post_all(settings, Batch(sweeps=[Sweep(MemberId("M-1"), at("2026-03-20T00:00:00Z"))]))
    (counts,) = [
        lot for lot in (await explained(settings, now="2026-03-20T00:00:00Z"))["lots"] if lot["wallet"] == "growth"
    ]
    assert (counts["state"], counts["left"], counts["in_balance"]) == ("active", 0, 50)


async def test_refunds_that_came_first_are_taken_with_the_order(settings: Settings) -> None:
    await post_all(settings, Batch(events=[refunded("A-1", "M-1", at(PAID_AT))]))
    waiting = await explained(settings)
    assert (waiting["accepted"], waiting["lines"]) == (False, [])
    assert waiting["refunds"][0]["outcome"] == "waiting_for_order"

    await post_all(settings, Batch(events=[paid("M-1", "A-1", PAID_AT, 5000)]))
    document = await explained(settings)

    assert document["refunds"][0]["asked"] == {"base": 50, "welcome": 10, "growth": 50}
    assert document["refunds"][0]["took"] == []
    assert sum(each["points"] for each in document["taken_when_paid"] if each["wallet"] == "points") == 60


async def test_an_order_that_only_refunds_know_has_nothing_cut(settings: Settings) -> None:
    await post_all(settings, Batch(events=[refunded("A-1", "M-1", at(PAID_AT))]))
    document = await explained(settings)
    assert (document["accepted"], document["lines"], document["trimmed"]) == (False, [], {})


async def test_an_unknown_order_is_a_problem_with_a_name(settings: Settings) -> None:
    async with api(settings, HandClock(LATER)) as client:
        unknown = await client.get("/v1/orders/a%2Fb/points", params={"member_id": "M-1"})
        broken = await client.get("/v1/orders/%FF/points", params={"member_id": "M-1"})
        nobody = await client.get("/v1/orders/A-1/points")
    assert (unknown.status_code, unknown.json()["type"]) == (404, "/problems/order-not-found")
    assert "'a/b'" in unknown.json()["detail"]
    assert (broken.status_code, broken.json()["errors"][0]["path"]) == (422, "path.order_id")
    assert (nobody.status_code, nobody.json()["errors"][0]["path"]) == (422, "query.member_id")


async def test_a_person_can_read_it_to_a_customer(settings: Settings) -> None:
    order = paid("M-1", "A-1", PAID_AT, 8000, brand="Private")
    returned = refunded("A-1", "M-1", at(LATER), lines=[{"line_id": "1", "amount": 4000}])
    await post_all(settings, Batch(events=[order, returned]))

    shown = await invoke("order", "A-1", "--member", "M-1")

    assert shown.exit_code == 0, shown.output
    assert "Order A-1 of member M-1: 80.00 USD, paid 2026-03-10 11:00 EDT" in shown.stdout
    assert "It earned 130 points, 80 growth. Refunds took 60 points, 40 growth of it back." in shown.stdout
    assert "It is for orders by app; this one names none." in shown.stdout
    assert "40 points given by base: of this order, still pending (lot 2)" in shown.stdout


async def test_an_event_and_a_member_lead_to_the_order(settings: Settings) -> None:
    await post_all(settings, Batch(events=[paid("M-1", f"A-{number}", PAID_AT, 5000) for number in (1, 2, 3)]))

    event = json.loads((await invoke("event", "/shop", "M-1/A-2", "--json")).stdout)
    member = json.loads((await invoke("member", "M-1", "--limit", "2", "--json")).stdout)

    assert (event["outcome"], event["member_id"]) == ("posted", "M-1")
    assert [order["order_id"] for order in event["orders"]] == ["A-2"]
    assert len(member["orders"]) == 2
    assert "A-2" in (await invoke("event", "/shop", "M-1/A-2")).stdout
    assert "50 points, 50 growth" in (await invoke("member", "M-1")).stdout


@pytest.mark.parametrize(
    "arguments", [("order", "A-9", "--member", "M-1"), ("event", "/shop", "none"), ("member", "nobody")]
)
async def test_what_is_not_known_ends_with_1(settings: Settings, arguments: tuple[str, ...]) -> None:
    shown = await invoke(*arguments)
    assert shown.exit_code == 1
    assert settings.installation in shown.stderr
    assert not shown.stdout
