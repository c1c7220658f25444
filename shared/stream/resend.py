"""Sending dead letters again: through the topic they came from, with their origin in the headers."""

from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Self

from aiokafka import AIOKafkaProducer

from shared.ledger.dead_letters import LETTER_HEADER, ORIGIN_HEADER
from shared.ledger.letters import Kept, Letter
from shared.stream.topics import MESSAGE_BYTES_MAX

_OWN = (LETTER_HEADER, ORIGIN_HEADER)


class Resender(AbstractAsyncContextManager["Resender"]):
    """A producer of replays."""

    def __init__(self, kafka: str) -> None:
        self._producer = AIOKafkaProducer(
            bootstrap_servers=kafka, acks="all", enable_idempotence=True, max_request_size=MESSAGE_BYTES_MAX
        )

    async def __aenter__(self) -> Self:
        await self._producer.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._producer.stop()

    async def send(self, letter: Letter, first: Kept) -> tuple[int, int]:
        """Send a letter as it is now, and give the partition and the offset that it got; `first` is the message that it
        goes back to. It keeps its key, and in a replay's topics its time, which live ones stamp anew."""
        message = letter.mended
        origin = f"{first.topic}/{first.partition}/{first.offset}"
        headers = [
            *((name, value) for name, value in message.headers if name not in _OWN),
            (LETTER_HEADER, str(letter.letter_id).encode()),
            (ORIGIN_HEADER, origin.encode()),
        ]
        sent = await self._producer.send_and_wait(
            message.topic,
            message.value,
            key=message.key,
            headers=headers,
            timestamp_ms=message.timestamp,
        )
        return sent.partition, sent.offset
