"""A stand-in for Kafka: logs with offsets and transactions, producers that fence each other, and consumer groups.

What it keeps of the real one: an aborted or open transaction is invisible to readers of committed records, who read up
to the first open one only; markers of transactions take an offset; a producer that starts ends what an older one of its
transactional id left open, and fences it; `getmany` moves the position on; a member that does not join in time is left
out, and goes on as if it still owned its partitions until it hears of it.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.errors import IllegalStateError, KafkaConnectionError, ProducerFenced

from tests.simulation.world import Operation, Process, World, current

LOG_APPEND_TIME = 1

BATCH_RECORDS = (1_000, 1_000, 1, 2)
"""How many records fit into a batch, of which each interleaving has one: mostly more than there ever are."""


@dataclass(slots=True, eq=False)
class OpenTransaction:
    """A producer's transaction: open until it is committed or aborted."""

    state: str = "open"


@dataclass(slots=True)
class Entry:
    """One offset of a log: a record, or (without one) the marker of a transaction."""

    record: ConsumerRecord[bytes, bytes] | None
    transaction: OpenTransaction | None = None


class Log:
    """One partition."""

    def __init__(self, partition: TopicPartition) -> None:
        self.partition = partition
        self.entries: list[Entry] = []
        self.open = 0
        """How many transactions that wrote here are open."""

    def append(
        self,
        key: bytes | None,
        value: bytes | None,
        headers: Any,
        timestamp_ms: int,
        transaction: OpenTransaction | None = None,
    ) -> None:
        topic, number = self.partition
        size = len(value or b"")
        record = ConsumerRecord(
            topic, number, len(self.entries), timestamp_ms, LOG_APPEND_TIME, key, value, None, 0, size, tuple(headers)
        )
        self.entries.append(Entry(record, transaction))

    def mark(self) -> None:
        """Append the marker of a transaction."""
        self.entries.append(Entry(None))

    def end(self, committed: bool) -> int:
        """Up to where a consumer reads: for one of committed records up to the first open transaction."""
        if committed and self.open:
            for offset, entry in enumerate(self.entries):
                if entry.transaction is not None and entry.transaction.state == "open":
                    return offset
        return len(self.entries)

    def read(self, start: int, records_max: int, committed: bool) -> tuple[list[ConsumerRecord[bytes, bytes]], int]:
        """The records from an offset on, and the position after them. Markers and aborted records are passed over."""
        found: list[ConsumerRecord[bytes, bytes]] = []
        position, end = start, self.end(committed)
        while position < end and len(found) < records_max:
            entry = self.entries[position]
            aborted = committed and entry.transaction is not None and entry.transaction.state == "aborted"
            if entry.record is not None and not aborted:
                found.append(entry.record)
            position += 1
        while position < end and self.entries[position].record is None:
            position += 1
        return found, position


def connection_lost() -> BaseException:
    """What aiokafka raises when no broker answers."""
    return KafkaConnectionError("no broker answers")


class Kafka:
    """The broker."""

    def __init__(self, world: World, now_ms: Callable[[], int]) -> None:
        self.world = world
        self.now_ms = now_ms
        self.logs: dict[TopicPartition, Log] = {}
        self.groups: dict[str, Group] = {}
        self.epochs: dict[str, int] = {}
        self.open: dict[str, tuple[OpenTransaction, set[TopicPartition]]] = {}
        self.told: dict[tuple[str, TopicPartition], int] = {}
        self.batch_records_max = world.random.choice(BATCH_RECORDS)

    def create_topic(self, topic: str, partitions: int) -> None:
        for number in range(partitions):
            partition = TopicPartition(topic, number)
            self.logs[partition] = Log(partition)

    def partitions(self, *topics: str) -> list[TopicPartition]:
        return sorted(partition for partition in self.logs if partition.topic in topics)

    def group(self, name: str) -> "Group":
        return self.groups.setdefault(name, Group(self, name))

    def init_producer(self, transactional_id: str) -> int:
        """A producer starts: it ends what an older one left open, and fences it."""
        self.end_transaction(transactional_id, "aborted")
        epoch = self.epochs[transactional_id] = self.epochs.get(transactional_id, 0) + 1
        return epoch

    def end_transaction(self, transactional_id: str, state: str) -> None:
        """Commit or abort what a producer has open, in one instant."""
        transaction, touched = self.open.pop(transactional_id, (None, set()))
        if transaction is not None:
            transaction.state = state
            for partition in sorted(touched):
                self.logs[partition].open -= 1
                self.logs[partition].mark()

    def time_out(self, transactional_id: str) -> None:
        """The broker gives up an open transaction, and fences its producer."""
        self.init_producer(transactional_id)


class Group:
    """A consumer group: who takes part, and what each is given."""

    def __init__(self, kafka: Kafka, name: str) -> None:
        self.kafka = kafka
        self.name = name
        self.members: list[Consumer] = []
        self.joined: list[Consumer] = []
        self.forming = False

    def rebalance(self) -> None:
        """Ask every member to join anew."""
        self.forming = True
        self.joined = []
        for member in self.members:
            member.must_join = True

    def leave(self, member: "Consumer") -> None:
        if member in self.members:
            self.members.remove(member)
            self.rebalance()

    def expel_the_dead(self) -> None:
        """Their sessions time out."""
        if any(not member.process.alive for member in self.members):
            self.members = [member for member in self.members if member.process.alive]
            self.rebalance()

    def join(self, member: "Consumer") -> None:
        if not self.forming:
            self.rebalance()  # one that was left out comes back
        member.must_join = False
        member.given = None
        if member not in self.members:
            self.members.append(member)
        self.joined.append(member)

    def can_form(self) -> bool:
        return self.forming and any(member.process.alive for member in self.joined)

    def is_complete(self) -> bool:
        return self.can_form() and all(member in self.joined for member in self.members)

    def form(self) -> None:
        """Give the partitions to those who joined, the same ones of every topic; the others are left out, and do not
        know it yet."""
        self.forming = False
        for member in self.members:
            if member not in self.joined:
                member.must_join = True
        # One that died when it had joined would be expelled before long, and the group would form once more.
        self.members = [member for member in self.joined if member.process.alive]
        given: dict[Consumer, set[TopicPartition]] = {member: set() for member in self.members}
        shift = self.kafka.world.random.randrange(len(self.members))
        for partition in self.kafka.partitions(*self.members[0].topics):
            given[self.members[(partition.partition + shift) % len(self.members)]].add(partition)
        for member, partitions in given.items():
            member.given = partitions


class Consumer:
    """aiokafka's consumer, as far as the workers use it."""

    def __init__(self, kafka: Kafka, group_id: str | None, isolation_level: str) -> None:
        self.process = current()
        self.topics: list[str] = []
        self.must_join = False
        self.given: set[TopicPartition] | None = None
        self._kafka = kafka
        self._world = kafka.world
        self._group = None if group_id is None else kafka.group(group_id)
        self._committed = isolation_level == "read_committed"
        self._assignment: set[TopicPartition] = set()
        self._positions: dict[TopicPartition, int] = {}
        self._listener: Any = None
        self._stopped = False

    async def start(self) -> None:
        """Nothing to connect to."""

    async def stop(self) -> None:
        """Leave the group."""
        self._stopped = True
        if self._group is not None and current().alive:
            self._group.leave(self)

    def subscribe(self, topics: list[str], listener: Any) -> None:
        self.topics = list(topics)
        self._listener = listener
        self.must_join = True
        asyncio.get_running_loop().create_task(self._take_part(current()))

    async def _take_part(self, process: Process) -> None:
        """What aiokafka's coordinator does: give up the old partitions, join, take the new ones."""
        assert self._group is not None
        group = self._group
        process.on_death.append(self._die)
        while not self._stopped:
            await self._world.operate("hears of a rebalance", lambda: None, lambda: self.must_join)
            await self._listener.on_partitions_revoked(self.assignment())
            await self._world.operate("joins", lambda: group.join(self))
            await self._world.operate(
                "is given partitions", lambda: None, lambda: self.given is not None or self.must_join
            )
            if self.given is not None:
                self._assignment, self.given = self.given, None
                self._positions = {p: self._kafka.told.get((group.name, p), 0) for p in self._assignment}
                await self._listener.on_partitions_assigned(self.assignment())

    def _die(self) -> None:
        self._stopped = True

    def pause(self, *partitions: TopicPartition) -> None:
        """It is never read."""

    def assign(self, partitions: list[TopicPartition]) -> None:
        self._assignment = set(partitions)
        self._positions = dict.fromkeys(partitions, 0)

    def assignment(self) -> list[TopicPartition]:
        """In one order, so that a seed always gives the same."""
        return sorted(self._assignment)

    def seek(self, partition: TopicPartition, offset: int) -> None:
        self._positions[partition] = offset

    async def position(self, partition: TopicPartition) -> int:
        if partition not in self._positions:
            raise IllegalStateError(f"{partition} is not assigned")
        return self._positions[partition]

    async def commit(self, offsets: dict[TopicPartition, int]) -> None:
        assert self._group is not None
        self._kafka.told |= {(self._group.name, partition): offset for partition, offset in offsets.items()}

    async def beginning_offsets(self, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
        def beginnings() -> dict[TopicPartition, int]:
            return dict.fromkeys(partitions, 0)

        found: dict[TopicPartition, int] = await self._world.operate(
            "beginning offsets", beginnings, lost=connection_lost
        )
        return found

    async def end_offsets(self, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
        def ends() -> dict[TopicPartition, int]:
            return {partition: self._kafka.logs[partition].end(self._committed) for partition in partitions}

        found: dict[TopicPartition, int] = await self._world.operate("end offsets", ends, lost=connection_lost)
        return found

    async def getmany(
        self, *partitions: TopicPartition, timeout_ms: int, max_records: int = 1000
    ) -> dict[TopicPartition, list[ConsumerRecord[bytes, bytes]]]:
        if not any(partition in self._kafka.logs for partition in partitions):
            await asyncio.sleep(timeout_ms / 1000)
            return {}

        def has_news() -> bool:
            return any(
                partition in self._positions
                and self._positions[partition] < self._kafka.logs[partition].end(self._committed)
                for partition in partitions
            )

        def fetch() -> dict[TopicPartition, list[ConsumerRecord[bytes, bytes]]]:
            found: dict[TopicPartition, list[ConsumerRecord[bytes, bytes]]] = {}
            left = self._world.random.randint(1, max_records)
            first = self._world.random.randrange(len(partitions))  # any of them may be answered first
            for partition in (*partitions[first:], *partitions[:first]):
                if partition in self._assignment and left > 0:
                    log = self._kafka.logs[partition]
                    records, self._positions[partition] = log.read(self._positions[partition], left, self._committed)
                    if records:
                        found[partition] = records
                        left -= len(records)
            return found

        operation = self._world.submit("getmany", fetch, has_news)
        timer = asyncio.get_running_loop().call_later(timeout_ms / 1000, self._give_up, operation)
        try:
            result: dict[TopicPartition, list[ConsumerRecord[bytes, bytes]]] = await operation.future
            return result
        finally:
            timer.cancel()
            self._remove(operation)

    def _give_up(self, operation: Operation) -> None:
        self._remove(operation)
        if not operation.future.done():
            operation.future.set_result({})

    def _remove(self, operation: Operation) -> None:
        if operation in self._world.pending:
            self._world.pending.remove(operation)


class Batch:
    """aiokafka's batch, built by hand. It has an end in bytes; this one has it in records."""

    def __init__(self, records_max: int) -> None:
        self.records: list[tuple[bytes, bytes, Any, int]] = []
        self._records_max = records_max

    def append(self, *, key: bytes, value: bytes, timestamp: int, headers: Any) -> object | None:
        """Returns None, and leaves the record out, when the batch is full."""
        if len(self.records) == self._records_max:
            return None
        self.records.append((key, value, headers, timestamp))
        return self


class Producer:
    """aiokafka's transactional producer, as far as the publisher uses it."""

    def __init__(self, kafka: Kafka, transactional_id: str) -> None:
        self._kafka = kafka
        self._world = kafka.world
        self._id = transactional_id
        self._epoch = 0
        self._sent: list[Operation] = []

    async def start(self) -> None:
        def init() -> None:
            self._epoch = self._kafka.init_producer(self._id)

        await self._world.operate("init producer", init, lost=connection_lost)

    async def stop(self) -> None:
        """Nothing to close."""

    def create_batch(self) -> Batch:
        return Batch(self._kafka.batch_records_max)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator["Producer"]:
        self._sent = []
        try:
            yield self
        except BaseException:
            if not self._is_fenced():
                await self._end("abort", "aborted")
            raise
        await self._end("commit", "committed")

    async def send_batch(self, batch: Batch, topic: str, *, partition: int) -> "asyncio.Future[Any]":
        return self._submit(f"send {topic}/{partition}", TopicPartition(topic, partition), batch.records)

    async def send(self, topic: str, *, key: bytes, value: bytes, partition: int) -> "asyncio.Future[Any]":
        return self._submit(f"send {topic}/{partition}", TopicPartition(topic, partition), [(key, value, (), 0)])

    def _submit(self, name: str, partition: TopicPartition, records: list[tuple[bytes, bytes, Any, int]]) -> Any:
        """Send in the background, one request after the other."""
        before = self._sent[-1] if self._sent else None

        def append() -> None:
            self._check()
            transaction, touched = self._kafka.open.setdefault(self._id, (OpenTransaction(), set()))
            if partition not in touched:
                touched.add(partition)
                self._kafka.logs[partition].open += 1
            for key, value, headers, timestamp_ms in records:
                self._kafka.logs[partition].append(key, value, headers, timestamp_ms, transaction)

        operation = self._world.submit(
            name, append, lambda: before is None or before.future.done(), lost=connection_lost
        )
        operation.future.add_done_callback(_heard)
        self._sent.append(operation)
        return operation.future

    async def _end(self, name: str, state: str) -> None:
        """Commit or abort, once nothing is on its way any more."""
        for operation in self._sent:
            if state == "aborted" and operation in self._world.pending:
                self._world.pending.remove(operation)
                operation.future.cancel()

        def end() -> None:
            self._check()
            self._kafka.end_transaction(self._id, state)

        await self._world.operate(
            f"{name} Kafka transaction",
            end,
            lambda: all(operation.future.done() for operation in self._sent),
            lost=connection_lost,
        )

    def _is_fenced(self) -> bool:
        return self._kafka.epochs[self._id] != self._epoch

    def _check(self) -> None:
        if self._is_fenced():
            raise ProducerFenced("a newer producer has this transactional id")


def _heard(future: "asyncio.Future[Any]") -> None:
    """Errors of a send are heard by who waits for it, or with the commit."""
    if not future.cancelled():
        future.exception()
