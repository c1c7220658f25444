"""`pointstream send` and `order`: publish events, as a shop would."""

import asyncio
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated
from uuid import uuid4

import orjson
import typer
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from services.cli.config import console, fail, load_settings
from shared.clock import wall_clock
from shared.contracts.inbound import BY_TYPE
from shared.contracts.order_paid import TYPE
from shared.domain.time import rfc3339
from shared.settings import ORDER_PAID, Settings

EventsFile = Annotated[Path, typer.Option("--events", help="CloudEvents as JSON, one a line.")]


def send(
    events: EventsFile,
    installation: Annotated[str | None, typer.Option("--installation", help="Which installation.")] = None,
) -> None:
    """Publish CloudEvents to Kafka, keyed by member. What they say is checked by the worker that reads them."""
    settings = load_settings(installation=installation)
    try:
        lines = [line for line in events.read_bytes().splitlines() if line.strip()]
    except OSError as error:
        fail(f"{events} cannot be read: {error.strerror}")
    messages = [(*_address(line, number, events), line) for number, line in enumerate(lines, 1)]
    try:
        asyncio.run(_send(settings, messages))
    except KafkaError as error:
        fail(f"Kafka did not take the events: {error}")
    console.print(f"{len(messages)} events sent.")


def order(
    member_id: Annotated[str, typer.Argument(help="Who paid.")],
    amount: Annotated[str, typer.Argument(help="What was paid, in dollars and cents, like 59.90.")],
    brand: Annotated[str | None, typer.Option("--brand", help="The brand of what was bought, like Private.")] = None,
    installation: Annotated[str | None, typer.Option("--installation", help="Which installation.")] = None,
) -> None:
    """Publish an order of one line that was paid now, to try things out."""
    settings = load_settings(installation=installation)
    cents = _cents(amount)
    order_id = f"order-{uuid4()}"
    line = {
        "line_id": "1",
        "sku": "example",
        "quantity": 1,
        "list_price": cents,
        "discount": 0,
        "tax": 0,
        "paid": cents,
    }
    data = {
        "order_id": order_id,
        "member_id": member_id,
        "currency": "USD",
        "paid": cents,
        "lines": [line if brand is None else {**line, "brand": brand}],
        "occurred_at": rfc3339(wall_clock()),
    }
    event = {"specversion": "1.0", "type": TYPE, "source": "/pointstream/cli", "id": order_id, "data": data}
    try:
        asyncio.run(_send(settings, [(ORDER_PAID, member_id.encode(), orjson.dumps(event))]))
    except KafkaError as error:
        fail(f"Kafka did not take the event: {error}")
    console.print(f"{member_id} paid {amount} USD ({order_id}).", highlight=False, markup=False)


def _cents(amount: str) -> int:
    try:
        cents = Decimal(amount) * 100
    except InvalidOperation:
        fail(f"{amount!r} is no amount; write it like 59.90")
    if not (cents.is_finite() and cents >= 0 and cents == int(cents)):
        fail(f"{amount!r} is no amount in dollars and cents; write it like 59.90")
    return int(cents)


def _address(line: bytes, number: int, path: Path) -> tuple[str, bytes]:
    """The topic of an event and its key."""
    try:
        event = orjson.loads(line)
        topic = BY_TYPE[event["type"]].topic
        return topic, str(event["data"]["member_id"]).encode()
    except (ValueError, KeyError, TypeError):
        fail(f"{path}, line {number}: no event of a known type with a member in it; nothing was sent")


async def _send(settings: Settings, messages: list[tuple[str, bytes, bytes]]) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=settings.kafka, acks="all")
    await producer.start()
    try:
        for topic, key, value in messages:
            headers = [("content-type", b"application/cloudevents+json")]
            await producer.send(settings.topic(topic), value, key=key, headers=headers)
        await producer.flush()
    finally:
        await producer.stop()
