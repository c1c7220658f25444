"""Adjusting points over HTTP: only with a token, once for each key, above a limit with a second person."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import sha256
from typing import Any

import httpx
import pytest
import structlog

from services.api.app import create_app
from shared.ledger.database import Pool
from shared.settings import Settings
from tests.integration.reading import HandClock, api, balance_path
from tests.integration.test_api_document import assert_documented

TOKENS = {"ann": "a" * 64, "bob": "b" * 64, "cleo": "c" * 64}
ROLES = {"ann": "agent", "bob": "supervisor", "cleo": "supervisor"}

PATH = "/v1/members/alice/adjustments"
BODY: dict[str, Any] = {"wallet": "points", "points": 50, "reason": "the parcel was late"}


@pytest.fixture
def with_tokens(settings: Settings) -> Settings:
    tokens = [
        {"actor": actor, "role": ROLES[actor], "sha256": sha256(token.encode()).hexdigest()}
        for actor, token in TOKENS.items()
    ]
    return Settings.model_validate(settings.model_dump() | {"operator_tokens": tokens})


@asynccontextmanager
async def desk(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    async with api(settings, HandClock("2026-03-11T00:00:00Z")) as client:
        yield client


def by(actor: str, key: str | None = None) -> dict[str, str]:
    headers = {"Authorization": f"Bearer {TOKENS[actor]}"}
    return headers if key is None else {**headers, "Idempotency-Key": key}


async def test_points_move_once_for_each_key(with_tokens: Settings, ledger: Pool) -> None:
    async with desk(with_tokens) as client:
        first = await client.post(PATH, json=BODY, headers=by("ann", "k-1"))
        again = await client.post(PATH, json=BODY, headers=by("ann", "k-1"))
        other = await client.post(PATH, json={**BODY, "points": 51}, headers=by("ann", "k-1"))
        taken = await client.post(PATH, json={**BODY, "points": -20}, headers=by("bob", "k-2"))
        balance = await client.get(balance_path("alice"))
    assert (first.status_code, first.json()["state"], first.json()["actor"]) == (201, "posted", "ann")
    assert (again.status_code, again.json()) == (201, first.json())
    assert (other.status_code, other.json()["type"]) == (409, "/problems/adjustment-conflict")
    assert taken.status_code == 201
    assert balance.json()["wallets"]["points"]["available"] == 30
    assert await ledger.fetchval("SELECT count(*) FROM postings") == 2
    for answer in (first, other):
        assert_documented("/v1/members/{member_id}/adjustments", answer)


async def test_above_the_limit_another_supervisor_decides(with_tokens: Settings, ledger: Pool) -> None:
    async with desk(with_tokens) as client:
        waiting = await client.post(PATH, json={**BODY, "points": 100_001}, headers=by("bob", "k-1"))
        listed = await client.get("/v1/adjustments", headers=by("ann"))
        own, agents, unknown = [
            await client.post(f"/v1/adjustments/{key}/approve", json={"why": "fine"}, headers=by(actor))
            for actor, key in (("bob", "k-1"), ("ann", "k-1"), ("cleo", "k-9"))
        ]
        done = await client.post("/v1/adjustments/k-1/approve", json={"why": "checked"}, headers=by("cleo"))
        late = await client.post("/v1/adjustments/k-1/reject", json={"why": "no"}, headers=by("cleo"))
        left = await client.get("/v1/adjustments", headers=by("ann"))
    assert (waiting.status_code, waiting.json()["state"]) == (202, "waiting")
    assert [each["adjustment_id"] for each in listed.json()["adjustments"]] == ["k-1"]
    assert [answer.status_code for answer in (own, agents, unknown)] == [403, 403, 404]
    assert (done.status_code, done.json()["state"], done.json()["decision"]["actor"]) == (200, "posted", "cleo")
    assert (late.status_code, late.json()["type"]) == (409, "/problems/adjustment-conflict")
    assert left.json() == {"adjustments": []}
    assert await ledger.fetchval("SELECT count(*) FROM postings") == 1
    for answer in (own, unknown, done, late):
        verb = answer.url.path.rpartition("/")[2]
        assert_documented(f"/v1/adjustments/{{adjustment_id}}/{verb}", answer)
    for answer in (listed, left):
        assert_documented("/v1/adjustments", answer)


async def test_what_was_rejected_stays_so(with_tokens: Settings, ledger: Pool) -> None:
    async with desk(with_tokens) as client:
        body = {**BODY, "points": 1001}
        await client.post(PATH, json=body, headers=by("ann", "k-1"))
        rejected = await client.post("/v1/adjustments/k-1/reject", json={"why": "a typo"}, headers=by("ann"))
        again = await client.post(PATH, json=body, headers=by("ann", "k-1"))
    assert (rejected.status_code, rejected.json()["state"]) == (200, "rejected")
    assert (again.status_code, again.json()["state"]) == (200, "rejected")
    assert await ledger.fetchval("SELECT count(*) FROM postings") == 0


async def test_what_the_ledger_refuses_is_a_problem_with_its_outcome(with_tokens: Settings) -> None:
    async with desk(with_tokens) as client:
        for _ in range(2):
            answer = await client.post(PATH, json={**BODY, "points": -1}, headers=by("ann", "k-1"))
            assert (answer.status_code, answer.json()["type"]) == (409, "/problems/adjustment-refused")
            assert "balance_too_low" in answer.json()["detail"]


async def test_what_an_operator_took_is_reversed(with_tokens: Settings) -> None:
    reverses = {"source": "/pointstream/adjustments", "id": "k-2"}
    body = {"reason": "it was right", "reverses": reverses}
    async with desk(with_tokens) as client:
        await client.post(PATH, json=BODY, headers=by("ann", "k-1"))
        await client.post(PATH, json={**BODY, "points": -20}, headers=by("ann", "k-2"))
        done = await client.post(PATH, json=body, headers=by("ann", "k-3"))
        again = await client.post(PATH, json=body, headers=by("ann", "k-4"))
        balance = await client.get(balance_path("alice"))
    assert (done.status_code, done.json()["points"], done.json()["reverses"]) == (201, 20, reverses)
    assert (again.status_code, "already_reversed" in again.json()["detail"]) == (409, True)
    assert balance.json()["wallets"]["points"]["available"] == 50
    for answer in (done, again):
        assert_documented("/v1/members/{member_id}/adjustments", answer)


async def test_without_tokens_nobody_adjusts_and_no_writer_connects(settings: Settings, ledger: Pool) -> None:
    async with desk(settings) as client:
        answer = await client.post(PATH, json=BODY, headers=by("ann", "k-1"))
        assert (answer.status_code, answer.json()["type"]) == (403, "/problems/not-allowed")
        assert "POINTSTREAM_OPERATOR_TOKENS" in answer.json()["detail"]
        listed = await client.get("/v1/adjustments")
        assert listed.status_code == 403


@pytest.mark.parametrize("header", [None, "Bearer wrong", "Bearer ", "Basic YTpi", "Bearer \xe9"])
async def test_without_a_known_token_nothing_happens_and_no_secret_is_told(
    with_tokens: Settings, ledger: Pool, header: str | None
) -> None:
    headers = [("Idempotency-Key", "k-1")]
    if header is not None:
        headers.append(("Authorization", header.encode("latin-1")))  # type: ignore[arg-type]
    with structlog.testing.capture_logs() as logs:
        async with desk(with_tokens) as client:
            answer = await client.post(PATH, json=BODY, headers=headers)
    assert (answer.status_code, answer.json()["type"]) == (401, "/problems/not-authenticated")
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert_documented("/v1/members/{member_id}/adjustments", answer)
    assert "wrong" not in str(logs)
    assert await ledger.fetchval("SELECT count(*) FROM adjustment_proposals") == 0


@pytest.mark.parametrize(
    ("key", "change", "path"),
    [
        (None, {}, "header.Idempotency-Key"),
        ("a b", {}, "header.Idempotency-Key"),
        ("k-1", {"points": 0}, "body.points"),
        ("k-1", {"points": "5"}, "body.points"),
        ("k-1", {"points": 10**19}, "body.points"),
        ("k-1", {"reason": ""}, "body.reason"),
        ("k-1", {"reason": "a\0b"}, "body.reason"),
        ("k-1", {"wallet": ""}, "body.wallet"),
        ("k-1", {"expires_at": "2020-01-01T00:00:00Z"}, "body.expires_at"),
        ("k-1", {"expires_at": "2099-02-30T00:00:00Z"}, "body.expires_at"),
        ("k-1", {"points": -5, "expires_at": "2099-01-01T00:00:00Z"}, "body.expires_at"),
        ("k-1", {"actor": "bob"}, "body.actor"),
        ("k-1", {"points": None}, "body.points"),
        ("k-1", {"reverses": {"source": "/shop", "id": "e-1"}}, "body.wallet"),
        ("k-1", {"reverses": {"source": "/shop"}}, "body.reverses.id"),
    ],
)
async def test_a_wrong_request_names_the_part(
    with_tokens: Settings, key: str | None, change: dict[str, object], path: str
) -> None:
    async with desk(with_tokens) as client:
        answer = await client.post(PATH, json={**BODY, **change}, headers=by("ann", key))
    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/invalid-request")
    assert [error["path"] for error in answer.json()["errors"]] == [path]


@pytest.mark.parametrize("body", [b"\xff", b"[" * 100_000], ids=["no UTF-8", "nested deeply"])
async def test_a_body_that_cannot_be_read_is_what_is_wrong(with_tokens: Settings, body: bytes) -> None:
    headers = {**by("ann", "k-1"), "Content-Type": "application/json"}
    async with desk(with_tokens) as client:
        answer = await client.post(PATH, content=body, headers=headers)
    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/invalid-request")
    assert [error["path"] for error in answer.json()["errors"]] == ["body"]


@pytest.mark.parametrize(
    ("path", "body", "named"),
    [
        (PATH, '{"wallet": "points", "points": 5, "reason": "late", "points": 500}', "body.points"),
        (PATH, '{"reason": "x", "reverses": {"source": "/shop", "id": "e-1", "id": "e-2"}}', "body.reverses.id"),
        (PATH, '{"wallet": "points", "points": 5, "reason": "late", "\\ud800": 1, "\\ud800": 2}', "body.?"),
        ("/v1/adjustments/k-1/approve", '{"why": "fine", "why": "not fine"}', "body.why"),
        ("/v1/adjustments/k-1/reject", '{"why": "fine", "why": "fine"}', "body.why"),
    ],
)
async def test_a_key_that_is_there_twice_is_named_and_nothing_happens(
    with_tokens: Settings, ledger: Pool, path: str, body: str, named: str
) -> None:
    headers = {**by("bob", "k-2"), "Content-Type": "application/json"}
    async with desk(with_tokens) as client:
        await client.post(PATH, json={**BODY, "points": 1001}, headers=by("ann", "k-1"))
        answer = await client.post(path, content=body, headers=headers)
        (waiting,) = (await client.get("/v1/adjustments", headers=by("ann"))).json()["adjustments"]
        stranger = await client.post(path, content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/invalid-request")
    reason = "The object has this key more than once; send it once."
    assert answer.json()["errors"] == [{"path": named, "message": reason}]
    assert (waiting["adjustment_id"], waiting["state"]) == ("k-1", "waiting")
    assert await ledger.fetchval("SELECT count(*) FROM postings") == 0
    assert stranger.status_code == 401


async def test_while_the_ledger_is_away_one_is_told_to_ask_again(with_tokens: Settings) -> None:
    away = with_tokens.model_copy(update={"postgres": "postgresql://postgres@127.0.0.1:1/postgres"})
    app = create_app(away)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
        answer = await client.post(PATH, json=BODY, headers=by("ann", "k-1"))
    assert (answer.status_code, answer.json()["type"]) == (503, "/problems/ledger-unavailable")
    assert answer.headers["Retry-After"] == "1"


def test_hashes_of_tokens_are_not_shown(with_tokens: Settings) -> None:
    assert sha256(TOKENS["ann"].encode()).hexdigest() not in repr(with_tokens)
