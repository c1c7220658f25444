"""A replay sends each member's events in the order of time, and simulates returns that are the same every time."""

from dataclasses import dataclass, field
from typing import Any, cast

import orjson
from aiokafka import TopicPartition

from services.cli.returns import DAYS, EARLY_S, SOURCE, return_of, with_returns
from services.cli.sending import Outgoing, Sender
from services.cli.turns import Turns
from shared.contracts import order_paid, refund
from shared.domain.time import DAY_US, SECOND_US, Instant, rfc3339

START = Instant(1_500_000_000 * SECOND_US)


@dataclass
class FakeSender:
    """A topic of one partition that only remembers."""

    topic: str
    log: list[Outgoing] = field(default_factory=list)
    sent: int = 0

    @property
    def sent_to(self) -> list[int]:
        return [self.sent]

    def partition_of(self, event: Outgoing) -> int:
        return 0

    async def send(self, event: Outgoing) -> None:
        self.log.append(event)
        self.sent += 1

    async def push(self) -> None:
        pass

    flush = push


class Replay:
    """Turns between a topic of orders and one of refunds."""

    def __init__(self) -> None:
        self.orders, self.refunds = FakeSender("orders"), FakeSender("refunds")
        senders = {order_paid.TYPE: cast("Sender", self.orders), refund.TYPE: cast("Sender", self.refunds)}
        self.partitions = [TopicPartition("orders", 0), TopicPartition("refunds", 0)]
        self.turns = Turns(senders, dict.fromkeys(self.partitions, 100))

    async def read(self, orders: int, refunds: int) -> None:
        """So many of each were read by now."""
        await self.turns.take_turns(dict(zip(self.partitions, (100 + orders, 100 + refunds), strict=True)))

    def logs(self) -> tuple[list[str], list[str]]:
        return [event.event_id for event in self.orders.log], [event.event_id for event in self.refunds.log]


def event(event_id: str, member: str, at: int, event_type: str = order_paid.TYPE) -> Outgoing:
    return Outgoing("/test", event_id, member, Instant(at), b"{}", event_type)


async def test_what_follows_an_event_of_another_topic_waits_until_that_is_read() -> None:
    replay = Replay()
    await replay.turns.send(event("o1", "ann", 1))
    await replay.turns.send(event("o2", "bob", 2))
    await replay.turns.send(event("r1", "ann", 3, refund.TYPE))
    await replay.turns.send(event("o3", "ann", 4))
    await replay.turns.send(event("o4", "bob", 5))
    assert replay.logs() == (["o1", "o2", "o4"], [])
    assert replay.turns.passed(Instant(5)) == 3
    await replay.read(0, 0)
    assert replay.logs() == (["o1", "o2", "o4"], [])
    await replay.read(1, 0)
    assert replay.logs() == (["o1", "o2", "o4"], ["r1"])
    assert replay.turns.passed(Instant(5)) == 3, "it is sent, but not read yet"
    await replay.read(3, 1)
    assert replay.logs() == (["o1", "o2", "o4", "o3"], ["r1"])
    assert (replay.turns.passed(Instant(5)), replay.turns.in_order, replay.turns.unread) == (4, False, 1)
    await replay.read(4, 1)
    assert (replay.turns.passed(Instant(5)), replay.turns.in_order, replay.turns.unread) == (5, True, 0)


def basket(number: int) -> Outgoing:
    at = Instant(START + number * 60 * SECOND_US)
    lines = [
        {"line_id": "1", "quantity": 3, "paid": 900},
        {"line_id": "2", "quantity": 1, "paid": 0},
        {"line_id": "3", "quantity": 1, "paid": 250},
    ]
    data = {"order_id": f"basket-{number}", "currency": "USD", "lines": lines, "occurred_at": rfc3339(at)}
    return Outgoing("/test", f"basket-{number}", f"member-{number % 50}", at, orjson.dumps(data))


def told(given_back: Outgoing) -> dict[str, Any]:
    data: dict[str, Any] = orjson.loads(given_back.value)
    return data


def test_returns_follow_the_rule_that_the_report_tells() -> None:
    baskets = [basket(number) for number in range(20_000)]
    returns = [(each, back) for each in baskets if (back := return_of(each)) is not None]
    assert [back for _, back in returns] == [return_of(each) for each, _ in returns]
    assert 700 < len(returns) < 900
    early = [each.arrived_at - back.arrived_at for each, back in returns if back.arrived_at < each.arrived_at]
    assert 25 < len(early) < 60
    assert all(EARLY_S[0] * SECOND_US <= before_us <= EARLY_S[1] * SECOND_US for before_us in early)
    whole = [back for _, back in returns if told(back).get("full")]
    assert 220 < len(whole) < 330
    for each, back in returns:
        assert back.arrived_at - each.arrived_at <= (DAYS[1] + 1) * DAY_US
        for line in told(back).get("lines", []):
            assert line["line_id"] in ("1", "3")
            assert 1 <= line.get("quantity", 1) <= 3
            assert 1 <= line.get("amount", 1) <= 900


def test_baskets_and_returns_come_in_the_order_of_time_up_to_the_last_basket() -> None:
    baskets = [basket(number) for number in range(20_000)]
    events = list(with_returns(iter(baskets)))
    assert [each.arrived_at for each in events] == sorted(each.arrived_at for each in events)
    assert [each for each in events if each.source != SOURCE] == baskets
    returns = [back for each in baskets if (back := return_of(each)) is not None]
    last = baskets[-1].arrived_at
    assert (
        sum(each.source == SOURCE for each in events) == sum(back.arrived_at <= last for back in returns) < len(returns)
    )
