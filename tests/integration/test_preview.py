"""A preview is what the posting comes to, and writes nothing."""

from typing import Any

import pytest

from shared.ledger.batch import Batch
from shared.ledger.database import Role
from shared.settings import Settings
from shared.setup import open_ledger
from tests.integration.explaining import PROGRAM, refunded
from tests.integration.reading import HandClock, api, at, balance_path, paid, post_all
from tests.support.installing import Make
from tests.support.orders import data_of

PAID_AT = "2026-03-10T15:00:00Z"
PATH = "/v1/preview/order"


@pytest.fixture
async def settings(make_installation: Make) -> Settings:
    return await make_installation(PROGRAM)


async def preview(settings: Settings, data: dict[str, Any], now: str = PAID_AT) -> dict[str, Any]:
    async with api(settings, HandClock(now)) as client:
        answer = await client.post(PATH, json=data)
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()
    return document


async def test_it_is_what_the_posting_comes_to_also_for_an_unknown_member(settings: Settings) -> None:
    data = data_of("A-1", "M-1", (12000,), at(PAID_AT), "Private")
    seen = await preview(settings, data)
    async with open_ledger(settings, Role.READER) as pool:
        tables = ("accounts", "orders", "lots", "postings", "consumed_events")
        assert [await pool.fetchval(f"SELECT count(*) FROM {table}") for table in tables] == [0] * 5  # noqa: S608

    await post_all(settings, Batch(events=[paid("M-1", "A-1", PAID_AT, 12000, brand="Private")]))
    async with api(settings, HandClock(PAID_AT)) as client:
        points = (await client.get("/v1/orders/A-1/points", params={"member_id": "M-1"})).json()
        balance = (await client.get(balance_path("M-1"))).json()

    assert seen["outcome"] == "posted"
    assert seen["wallets"] == balance["wallets"]
    for part in ("lines", "rules", "silent_rules", "silent_multipliers", "lots"):
        assert seen[part] == points[part], part


async def test_it_knows_the_member_as_the_worker_does(settings: Settings) -> None:
    await post_all(settings, Batch(events=[paid("M-1", "A-1", PAID_AT, 1000)]))
    seen = await preview(settings, data_of("A-2", "M-1", (25000,), at(PAID_AT)))
    assert {each["rule"]: each["points"] for each in seen["rules"]} == {"base": 100, "big-basket": 50, "growth": 250}
    assert {each["rule"]: each["reason"] for each in seen["silent_rules"]}["welcome"] == "not_first_order"
    assert seen["wallets"]["points"]["available"] == 10 + 10 + 150

    again = await preview(settings, data_of("A-1", "M-1", (1000,), at(PAID_AT)))
    assert (again["outcome"], again["rules"]) == ("order_already_paid", [])
    assert again["wallets"]["points"]["available"] == 20


async def test_a_refund_that_waits_for_the_order_is_counted(settings: Settings) -> None:
    await post_all(settings, Batch(events=[refunded("A-1", "M-1", at(PAID_AT))]))
    seen = await preview(settings, data_of("A-1", "M-1", (1000,), at(PAID_AT)))
    assert sum(each["points"] for each in seen["taken_when_paid"] if each["wallet"] == "points") == 20
    assert seen["wallets"]["points"]["available"] == 0


async def test_a_cap_that_is_used_up_is_seen(make_installation: Make) -> None:
    settings = await make_installation(PROGRAM + "caps:\n  - {id: daily, rules: [base], per: day, points: 30}\n")
    await post_all(settings, Batch(events=[paid("M-1", "A-1", PAID_AT, 2500)]))
    seen = await preview(settings, data_of("A-2", "M-1", (2500,), at(PAID_AT)))
    assert (seen["outcome"], seen["rules"][0]["points"], seen["rules"][0]["trimmed"]) == ("trimmed", 5, 20)
    await post_all(settings, Batch(events=[paid("M-1", "A-2", PAID_AT, 2500)]))
    seen = await preview(settings, data_of("A-3", "M-1", (2500,), at(PAID_AT)))
    assert {each["rule"]: each["reason"] for each in seen["silent_rules"]}["base"] == "cut"


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"lines": [{"line_id": "1"}]}, "body.lines[0].sku"),
        ({"member_id": ""}, "body.member_id"),
        ({"currency": "XXX"}, "body.currency"),
        ({"paid": 7}, "body.paid"),
        ({"occurred_at": "2026-02-30T00:00:00Z"}, "body.occurred_at"),
    ],
)
async def test_it_is_held_to_the_contract(settings: Settings, change: dict[str, Any], path: str) -> None:
    async with api(settings, HandClock(PAID_AT)) as client:
        answer = await client.post(PATH, json=data_of("A-1", "M-1") | change)
    assert answer.status_code == 422
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["errors"][0]["path"] == path


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"a":1,"a":1}', b" " * (5 << 20)], ids=lambda body: str(body[:9]))
async def test_any_other_body_is_a_problem_too(settings: Settings, body: bytes) -> None:
    async with api(settings, HandClock(PAID_AT)) as client:
        answer = await client.post(PATH, content=body)
    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/invalid-request")
    assert answer.json()["errors"][0]["path"].startswith("body")
