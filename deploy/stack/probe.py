"""Ask a server whether it is ready. A question that only a working server can answer, not just an open port."""

import asyncio
import logging
import socket
from collections.abc import Callable, Coroutine, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from types import MappingProxyType
from typing import TypeVar

import asyncpg
import redis
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError

from .model import Server

ANSWER_LIMIT_S = 3.0
"""A server that takes longer to answer one small question is not ready."""


T = TypeVar("T")


class NotAnsweringError(Exception):
    """The server did not answer as it should. The message says what came instead; it has no password."""


def ask(server: Server, address: str) -> None:
    """Return when the server at `address` answers; raise NotAnsweringError when it does not.

    Blocks up to ANSWER_LIMIT_S or so.
    """
    _QUESTIONS[server](address)


def _ask_kafka(bootstrap: str) -> None:
    # A plain connection first: aiokafka logs each refused one as an error, and while a broker starts many are.
    _connect_to_any(bootstrap.split(","))
    try:
        with _silent("aiokafka"):
            brokers = _result(_kafka_brokers(bootstrap))
    except (KafkaError, OSError, TimeoutError) as error:
        raise NotAnsweringError(f"no Kafka metadata: {_reason(error)}") from error
    if not brokers:
        raise NotAnsweringError("its metadata names no broker yet")


async def _kafka_brokers(bootstrap: str) -> int:
    client = AIOKafkaClient(bootstrap_servers=bootstrap, request_timeout_ms=int(ANSWER_LIMIT_S * 1000))
    try:
        async with asyncio.timeout(ANSWER_LIMIT_S):
            await client.bootstrap()
        return len(client.cluster.brokers())
    finally:
        await client.close()


def _result(question: Coroutine[None, None, T]) -> T:
    """Run a coroutine to its end, in a thread of its own: the caller's may have an event loop already."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, question).result()


def _connect_to_any(addresses: list[str]) -> None:
    reasons = []
    for address in addresses:
        host, _, port = address.strip().rpartition(":")
        if not host or not port.isdecimal():
            raise NotAnsweringError(f"{address!r} is not of the form HOST:PORT")
        try:
            with socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWER_LIMIT_S):
                return
        except (OSError, OverflowError) as error:
            reasons.append(_reason(error))
    raise NotAnsweringError("; ".join(reasons))


@contextmanager
def _silent(logger_name: str) -> Iterator[None]:
    logger = logging.getLogger(logger_name)
    before = logger.disabled, logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.disabled = before[0]
        logger.setLevel(before[1])


def _ask_postgres(url: str) -> None:
    try:
        _result(_select_one(url))
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError, ValueError) as error:
        raise NotAnsweringError(_reason(error)) from error


async def _select_one(url: str) -> None:
    async with asyncio.timeout(ANSWER_LIMIT_S):
        connection = await asyncpg.connect(url)
        try:
            await connection.fetchval("SELECT 1")
        finally:
            await connection.close()


def _ask_redis(url: str) -> None:
    try:
        with redis.Redis.from_url(url, socket_connect_timeout=ANSWER_LIMIT_S, socket_timeout=ANSWER_LIMIT_S) as client:
            client.ping()
    except (redis.RedisError, OSError, ValueError) as error:
        raise NotAnsweringError(_reason(error)) from error


def _reason(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer within {ANSWER_LIMIT_S:.0f} s"
    return str(error) or type(error).__name__


_QUESTIONS: Mapping[Server, Callable[[str], None]] = MappingProxyType(
    {Server.KAFKA: _ask_kafka, Server.POSTGRES: _ask_postgres, Server.REDIS: _ask_redis}
)
