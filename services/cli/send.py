"""`pointstream send` and `order`: publish events, as a shop would."""

import asyncio
import re
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Annotated
from uuid import uuid4

import orjson
import typer
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from services.cli.config import console, fail, load_settings
from services.cli.reading import reading
from services.cli.wording import count
from shared.clock import wall_clock
from shared.contracts.defect import Undecodable
from shared.contracts.inbound import BY_TYPE, decode_any
from shared.contracts.money import EXPONENTS, money
from shared.contracts.order_paid import TYPE
from shared.domain.time import rfc3339
from shared.reads.reader import Reader
from shared.settings import ORDER_PAID, Settings

HEADERS = (("content-type", b"application/cloudevents+json"),)
"""What says that a value is the whole event."""

IN_FLIGHT_MAX = 1_000
"""Messages that wait for their acknowledgement; more would only fill memory."""


class EventRefusedError(Exception):
    """Kafka did not take an event: its topic, why, and how many others were accepted."""

    def __init__(self, topic: str, error: BaseException, accepted: int) -> None:
        super().__init__(f"topic {topic}: {error}")
        self.accepted = accepted


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
    except EventRefusedError as error:
        fail(
            f"Kafka did not take all events: {error}\n{error.accepted} of {len(messages)} events were accepted. What is"
            " sent a second time counts once, so send the whole file again when that is mended."
        )
    except KafkaError as error:
        fail(f"Kafka did not take the events: {error}")
    console.print(f"{count(len(messages), 'event')} sent.")


def order(
    member_id: Annotated[str, typer.Argument(help="Who paid.")],
    amount: Annotated[str, typer.Argument(help="What was paid, in the program's currency, like 59.90.")],
    brand: Annotated[str | None, typer.Option("--brand", help="The brand of what was bought, like Private.")] = None,
    installation: Annotated[str | None, typer.Option("--installation", help="Which installation.")] = None,
) -> None:
    """Publish an order of one line that was paid now, to try things out."""
    units = _amount(amount)
    settings = load_settings(installation=installation)
    currency = reading(settings, _currency)
    paid = _minor(units, currency)
    order_id = f"order-{uuid4()}"
    line = {
        "line_id": "1",
        "sku": "example",
        "quantity": 1,
        "list_price": paid,
        "discount": 0,
        "tax": 0,
        "paid": paid,
    }
    data = {
        "order_id": order_id,
        "member_id": member_id,
        "currency": currency,
        "paid": paid,
        "lines": [line if brand is None else {**line, "brand": brand}],
        "occurred_at": rfc3339(wall_clock()),
    }
    event = {"specversion": "1.0", "type": TYPE, "source": "/pointstream/cli", "id": order_id, "data": data}
    value = orjson.dumps(event)
    try:
        decode_any(value, HEADERS)
        asyncio.run(_send(settings, [(ORDER_PAID, member_id.encode(), value)]))
    except Undecodable as error:
        fail(f"Nothing was sent: {error}")
    except (EventRefusedError, KafkaError) as error:
        fail(f"Kafka did not take the event: {error}")
    console.print(f"{member_id} paid {money(paid, currency)} ({order_id}).", highlight=False, markup=False)


def _amount(text: str) -> Decimal:
    if not re.fullmatch(r"[0-9]{1,12}(\.[0-9]{1,4})?", text, re.ASCII):
        fail(f"{text!r} is no amount; write it like 59.90")
    return Decimal(text)


async def _currency(reader: Reader) -> str:
    program = reader.programs.in_force(wall_clock())
    if program is None:
        fail("No version of the program is in force yet.")
    return program.currency


def _minor(units: Decimal, currency: str) -> int:
    minor = units.scaleb(EXPONENTS[currency])
    if minor != int(minor):
        fail(f"{units} is no amount of {currency}, which has {EXPONENTS[currency]} decimals.")
    return int(minor)


def _address(line: bytes, number: int, path: Path) -> tuple[str, bytes]:
    """The topic of an event and its key."""
    try:
        event = orjson.loads(line)
        topic = BY_TYPE[event["type"]].topic
        return topic, str(event["data"]["member_id"]).encode()
    except (ValueError, KeyError, TypeError):
        fail(f"{path}, line {number}: no event of a known type with a member in it; nothing was sent")


async def _send(settings: Settings, messages: Sequence[tuple[str, bytes, bytes]]) -> None:
    """Send messages in their order, and return when Kafka has them all.

    Raises `EventRefusedError` when Kafka does not take one of them, and `KafkaError` where there is no Kafka.
    """
    producer = AIOKafkaProducer(bootstrap_servers=settings.kafka, acks="all")
    accepted = 0
    try:
        await producer.start()
        for begin in range(0, len(messages), IN_FLIGHT_MAX):
            answers = await _send_some(producer, settings, messages[begin : begin + IN_FLIGHT_MAX])
            refusals = [(topic, error) for topic, error in answers if error is not None]
            accepted += len(answers) - len(refusals)
            if refusals:
                raise EventRefusedError(*refusals[0], accepted)
    finally:
        await producer.stop()


async def _send_some(
    producer: AIOKafkaProducer, settings: Settings, messages: Sequence[tuple[str, bytes, bytes]]
) -> list[tuple[str, BaseException | None]]:
    """Send messages up to one that cannot even leave; the topic of each, and what Kafka has against it."""
    topics, sent, unsent = [], [], []
    for name, key, value in messages:
        topic = settings.topic(name)
        try:
            sent.append(await producer.send(topic, value, key=key, headers=list(HEADERS)))
        except KafkaError as error:
            unsent.append((topic, error))
            break
        topics.append(topic)
    # To flush the producer would tell nothing of a refusal.
    answers = await asyncio.gather(*sent, return_exceptions=True)
    errors = [answer if isinstance(answer, BaseException) else None for answer in answers]
    return [*zip(topics, errors, strict=True), *unsent]
