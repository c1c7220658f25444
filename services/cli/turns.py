"""Sending to several topics so that each member's events are read in the order of time.

Between topics Kafka knows no order. So an event waits here until what came before it of its member, in another topic,
is posted; others pass it meanwhile. That is what makes a replay's journal the same every time.
"""

from collections import deque
from collections.abc import Mapping
from typing import NamedTuple

from aiokafka import TopicPartition

from services.cli.sending import Outgoing, Sender
from shared.domain.time import Instant

Offsets = Mapping[TopicPartition, int]


class _Place(NamedTuple):
    """Where an event stands in the log."""

    partition: TopicPartition
    offset: int


class Turns:
    """Sends each event by the sender of its type, when it is its turn.

    `ends` is how far the log had come before; `take_turns` must be told again and again how far it was read.
    """

    def __init__(self, senders: Mapping[str, Sender], ends: Offsets) -> None:
        self._senders = senders
        self._ends = ends
        self._read: Offsets = {}
        self._last: dict[str, _Place] = {}
        self._waiting: dict[str, deque[Outgoing]] = {}
        self._passed: deque[tuple[Instant, _Place]] = deque()
        """Events that others have passed, and that may not be read yet, with their arrival."""

    @property
    def in_order(self) -> bool:
        """Whether nothing waits, and nothing that was passed by others is unread."""
        return not (self._waiting or self._passed)

    @property
    def sent(self) -> int:
        """How many events were sent."""
        return sum(sender.sent for sender in self._senders.values())

    @property
    def unread(self) -> int:
        """How many of the events in the log were not read when that was told last."""
        return sum(self._ends.values()) + self.sent - sum(self._read.values())

    async def send(self, event: Outgoing) -> None:
        """Send an event, or keep it until it is its turn. Events come in the order of time."""
        queue = self._waiting.get(event.member_id)
        if queue is not None:
            queue.append(event)
        elif self._may_go(event):
            await self._send(event)
        else:
            self._waiting[event.member_id] = deque([event])

    async def take_turns(self, read: Offsets) -> None:
        """Send what waited for what is read by now, and let the brokers have all of it."""
        self._read = read
        for member_id, queue in list(self._waiting.items()):
            while queue and self._may_go(queue[0]):
                event = queue.popleft()
                self._passed.append((event.arrived_at, await self._send(event)))
            if not queue:
                del self._waiting[member_id]
        for _ in range(len(self._passed)):
            arrived_at, place = self._passed.popleft()
            if not self._is_read(place):
                self._passed.append((arrived_at, place))
        for sender in self._senders.values():
            await sender.push()

    async def flush(self) -> None:
        """Return when the brokers have all that was sent."""
        for sender in self._senders.values():
            await sender.flush()

    def passed(self, now: Instant) -> Instant:
        """The instant that everything has passed, when all up to `now` was handed in: nothing of before waits here, or
        was sent too late to be in order and is unread."""
        heads = [queue[0].arrived_at for queue in self._waiting.values()]
        return min([now, *heads, *(arrived_at for arrived_at, _ in self._passed)])

    async def _send(self, event: Outgoing) -> _Place:
        sender = self._senders[event.event_type]
        number = sender.partition_of(event)
        partition = TopicPartition(sender.topic, number)
        place = _Place(partition, self._ends[partition] + sender.sent_to[number])
        await sender.send(event)
        self._last[event.member_id] = place
        return place

    def _may_go(self, event: Outgoing) -> bool:
        last = self._last.get(event.member_id)
        topic = self._senders[event.event_type].topic
        return last is None or last.partition.topic == topic or self._is_read(last)

    def _is_read(self, place: _Place) -> bool:
        return self._read.get(place.partition, 0) > place.offset
