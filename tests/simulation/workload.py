"""Random messages for an interleaving: orders, duplicates, used ids, late and early ones, and what cannot be read."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import orjson

from shared.contracts.program import parse_program
from shared.domain.program import Programs
from tests.support.orders import data_of, event_of

START = datetime(2026, 3, 10, 12, tzinfo=UTC)
HOUR_MS = 3_600_000

PROGRAM = """
program: simulated
version: 1
effective_from: "2020-01-01T00:00:00Z"
zone: UTC
currency: USD
late_tolerance: 30d
future_tolerance: 5m
allowed_lateness: 1h
wallets:
  points:
    spendable: true
    expiry: {days: 1}
  growth:
    spendable: false
    expiry: never
rules:
  - {id: base, wallet: points, rate: 1}
  - {id: house, wallet: points, rate: 1/2, match: {brands: [Private]}, pending: {days: 1, exact: true}}
  - {id: growth, wallet: growth, rate: 1, match: {brands: [Private]}, pending: {days: 0}}
"""
PROGRAMS = Programs([parse_program(PROGRAM, "simulated").to_domain()])

START_MS = int(START.timestamp()) * 1000


@dataclass(frozen=True, slots=True)
class Sent:
    """A message on its way into the log: how much time passes before it, to which partition, and what it says."""

    after_ms: int
    partition: int
    key: bytes
    value: bytes


class Workload:
    """Makes messages, one after the other, at the time of the simulated clock."""

    def __init__(self, random: Random, partitions: int) -> None:
        self.keyed = random.random() < 0.5
        """Whether all events of a member are in one partition, as the platform should do it."""
        self._random = random
        self._partitions = partitions
        self._members = [f"m{number}" for number in range(random.randint(1, 3))]
        self._number = 0
        self._sent: list[tuple[bytes, bytes]] = []
        self._data: list[dict[str, Any]] = []
        self._ids: list[tuple[str, str]] = []

    def next(self, now_ms: int) -> Sent:
        """The next message, with how much time passes before it: often none, sometimes hours, seldom days."""
        random = self._random
        after_ms = random.choice((0, 0, 0, 1, 1000, HOUR_MS, 5 * HOUR_MS, 30 * HOUR_MS))
        key, value = self._message(START + timedelta(milliseconds=now_ms + after_ms - START_MS))
        self._sent.append((key, value))
        partition = sum(key) % self._partitions if self.keyed else random.randrange(self._partitions)
        return Sent(after_ms, partition, key, value)

    def _message(self, now: datetime) -> tuple[bytes, bytes]:
        random = self._random
        kind = random.random()
        if self._sent and kind < 0.2:
            return random.choice(self._sent)
        if kind < 0.23:
            return random.choice(self._members).encode(), b"{"
        self._number += 1
        data = self._order(now)
        event_id = f"e{self._number}"
        used = self._used_ids(data["member_id"])
        if used and kind < 0.3:
            event_id = random.choice(used)
        elif self._data and kind < 0.36:
            data = random.choice(self._data)  # an order that another event told of already
        self._data.append(data)
        self._ids.append((data["member_id"], event_id))
        return data["member_id"].encode(), orjson.dumps(event_of(data, event_id))

    def _used_ids(self, member_id: str) -> list[str]:
        """Ids of earlier events. Across partitions nobody could say which use of an id comes first."""
        return [event_id for member, event_id in self._ids if member == member_id or not self.keyed]

    def _order(self, now: datetime) -> dict[str, Any]:
        random = self._random
        late = random.choice((0, 0, 0, 1, 3, 20, 30, 31 * 24, -1))
        data = data_of(
            f"o{self._number}",
            random.choice(self._members),
            [random.choice((50, 100, 1000, 2500))],
            brand=random.choice(("Private", "National")),
        )
        data["occurred_at"] = (now - timedelta(hours=late)).isoformat()
        return data
