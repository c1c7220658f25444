"""The OpenAPI document: valid, with an example for every answer, and what the API really sends."""

from typing import Any

import httpx
import pytest
from fastapi.openapi.models import OpenAPI
from jsonschema import Draft202012Validator

from services.api.app import create_app
from services.api.problems import ProblemType
from shared.ledger.batch import Batch
from shared.settings import Settings
from tests.integration.reading import HandClock, api, at, balance_path, paid, post_all, statement_path
from tests.support.orders import data_of

Document = dict[str, Any]

DOCUMENT: Document = create_app(Settings()).openapi()


RESPONSES = [
    (path, status, response)
    for path, item in DOCUMENT["paths"].items()
    for operation in item.values()
    for status, response in operation["responses"].items()
]
"""Every response of every operation: the path, the status and what is said of it."""


def validator(schema: Document) -> Draft202012Validator:
    """A validator of a schema of the document, with its references."""
    return Draft202012Validator(
        {**schema, "components": DOCUMENT["components"]}, format_checker=Draft202012Validator.FORMAT_CHECKER
    )


def test_the_document_is_valid_openapi() -> None:
    assert OpenAPI.model_validate(DOCUMENT).openapi.startswith("3.1")
    for schema in DOCUMENT["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)


def test_the_body_of_a_preview_is_described_with_an_example() -> None:
    body = DOCUMENT["paths"]["/v1/preview/order"]["post"]["requestBody"]["content"]["application/json"]
    validator(body["schema"]).validate(body["example"])


def test_it_speaks_of_every_address() -> None:
    assert set(DOCUMENT["paths"]) == {
        "/v1/members/{member_id}/balance",
        "/v1/members/{member_id}/statement",
        "/v1/orders/{order_id}/points",
        "/v1/preview/order",
        "/v1/members/{member_id}/adjustments",
        "/v1/adjustments",
        "/v1/adjustments/{adjustment_id}/approve",
        "/v1/adjustments/{adjustment_id}/reject",
        "/health/live",
        "/health/ready",
    }


@pytest.mark.parametrize(
    ("path", "status", "response"), RESPONSES, ids=lambda value: value if isinstance(value, str) else ""
)
def test_every_response_has_examples_that_keep_its_schema(path: str, status: str, response: Document) -> None:
    (media_type, content), *others = response["content"].items()
    assert not others
    assert media_type == ("application/json" if status < "300" else "application/problem+json")
    examples = (
        [content["example"]] if "example" in content else [item["value"] for item in content["examples"].values()]
    )
    assert examples
    for example in examples:
        validator(content["schema"]).validate(example)
        if status >= "300":
            assert example["status"] == int(status)
            assert example["type"] in {problem.value.type for problem in ProblemType}


async def test_the_api_sends_what_the_document_says(settings: Settings) -> None:
    orders = [paid("M-1", f"A-{number}", "2026-03-10T15:00:00Z", 5900, brand="Private") for number in (1, 2)]
    await post_all(settings, Batch(events=orders))
    async with api(settings, HandClock("2026-07-01T00:00:00Z")) as client:
        sent = {
            "/v1/members/{member_id}/balance": [
                await client.get(balance_path("M-1")),
                await client.get(balance_path("nobody")),
                await client.get(balance_path("")),
            ],
            "/v1/members/{member_id}/statement": [
                await client.get(statement_path("M-1"), params={"limit": 1}),
                await client.get(statement_path("M-1"), params={"cursor": "?"}),
                await client.get(statement_path("M-1"), params={"limit": 0}),
            ],
            "/v1/orders/{order_id}/points": [
                await client.get("/v1/orders/A-1/points", params={"member_id": "M-1"}),
                await client.get("/v1/orders/A-2/points", params={"member_id": "nobody"}),
                await client.get("/v1/orders/A-2/points"),
            ],
            "/v1/preview/order": [
                await client.post("/v1/preview/order", json=data_of("A-9", "M-1", at=at("2026-07-01T00:00:00Z"))),
                await client.post("/v1/preview/order", json={}),
            ],
            "/health/live": [await client.get("/health/live")],
            "/health/ready": [await client.get("/health/ready")],
        }
        served = (await client.get("/openapi.json")).json()
    assert served == DOCUMENT
    for path, answers in sent.items():
        for answer in answers:
            assert_documented(path, answer)


def assert_documented(path: str, answer: httpx.Response) -> None:
    method = answer.request.method.lower()
    content = DOCUMENT["paths"][path][method]["responses"][str(answer.status_code)]["content"]
    validator(content[answer.headers["Content-Type"]]["schema"]).validate(answer.json())
