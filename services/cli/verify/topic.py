"""The check of `points-changed` against the journal: each posting once, in order, to the byte."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from typing import TypeAlias

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from services.cli.verify.journal import JournalReader
from services.cli.verify.log import Published, open_consumer
from services.cli.verify.progress import Progress
from services.cli.verify.result import SHOWN_MAX, Check, Findings
from services.cli.verify.snapshot import CONNECTIONS, Snapshot
from services.publisher.records import OutRecord
from shared.domain.ids import Shard
from shared.ledger.database import Connection
from shared.settings import POINTS_CHANGED, Settings

AT_ONCE = 4_000
"""Records that are compared at once; it bounds the memory."""

WAIT_MS = 1_000

MARKERS_WAIT_S = 5.0
"""How long a committed transaction may take to show in all of its partitions."""

MARKERS_LOOK_MS = 200

Message: TypeAlias = ConsumerRecord[bytes, bytes]


class TopicCheck:
    """Reads what was published before the snapshot, and holds it against the journal behind the position `since`."""

    def __init__(self, snapshot: Snapshot, settings: Settings, published: Published, since: int) -> None:
        self.topic = Findings(Check.TOPIC, "records", settings.installation)
        self.running = Findings(Check.RUNNING_BALANCES, "postings", settings.installation)
        self._snapshot = snapshot
        self._settings = settings
        self._published = published
        self._since = since

    async def run(self, progress: Progress) -> None:
        """Compare shard by shard, two at a time: while one waits for the journal, the other is compared."""
        waiting = deque(sorted(self._published.ends))
        progress.start("topic", sum(max(0, pos - self._since) for pos in self._published.positions.values()))

        async def work() -> None:
            async with open_consumer(self._settings) as consumer, self._snapshot.connection() as connection:
                while waiting:
                    await self._check_shard(waiting.popleft(), consumer, connection, progress)

        async with asyncio.TaskGroup() as tasks:
            for _ in range(CONNECTIONS):
                tasks.create_task(work())

    async def _check_shard(
        self, shard: Shard, consumer: AIOKafkaConsumer, connection: Connection, progress: Progress
    ) -> None:
        journal = JournalReader(connection, shard, self._settings.installation, self.running)
        expected = self._since + 1
        begun = False
        async for records in self._records(shard, consumer):
            if not begun:
                begun = True
                expected = self._first_expected(shard, records, expected)
            if self.topic.found >= SHOWN_MAX:
                return
            expected = await self._compare(shard, records, expected, journal)
            progress.advance("topic", len(records))
        position = self._published.positions.get(shard, 0)
        if expected <= position and (begun or self._published.beginnings[shard] == 0):
            expected = await self._wait_for_markers(shard, consumer, expected, position, journal)
            if expected <= position:
                self._miss(shard, expected, position)

    async def _wait_for_markers(
        self, shard: Shard, consumer: AIOKafkaConsumer, expected: int, position: int, journal: JournalReader
    ) -> int:
        """A commit reaches one partition after the other: what the published positions have already, readers of this
        partition may see a moment later. Returns the position that is expected then."""
        partition = TopicPartition(self._settings.topic(POINTS_CHANGED), shard)
        consumer.seek(partition, self._published.ends[shard])
        clock = asyncio.get_running_loop().time
        deadline_s = clock() + MARKERS_WAIT_S
        while expected <= position and clock() < deadline_s:
            found = await consumer.getmany(partition, timeout_ms=MARKERS_LOOK_MS, max_records=AT_ONCE)
            records = self._behind_since(shard, found.get(partition, []))
            late = [record for record in records if (_position(shard, record) or 0) <= position]
            if late:
                expected = await self._compare(shard, late, expected, journal)
            if len(late) < len(records):
                break
        return expected

    def _first_expected(self, shard: Shard, records: Sequence[Message], expected: int) -> int:
        """A log that was trimmed on purpose begins where it begins."""
        if self._published.beginnings[shard] == 0:
            return expected
        return max(expected, _position(shard, records[0]) or expected)

    async def _records(self, shard: Shard, consumer: AIOKafkaConsumer) -> AsyncIterator[list[Message]]:
        """The committed records of a shard behind the position, up to where its partition ended before the snapshot."""
        partition = TopicPartition(self._settings.topic(POINTS_CHANGED), shard)
        end = self._published.ends[shard]
        consumer.assign([partition])
        # Each record takes an offset of its own, and so do markers: a posting never has an offset below its position.
        start = max(self._published.beginnings[shard], self._since)
        consumer.seek(partition, min(start, end))
        while await consumer.position(partition) < end:
            found = await consumer.getmany(partition, timeout_ms=WAIT_MS, max_records=AT_ONCE)
            records = [record for record in found.get(partition, []) if record.offset < end]
            if records := self._behind_since(shard, records):
                yield records

    def _behind_since(self, shard: Shard, records: list[Message]) -> list[Message]:
        if not self._since:
            return records
        return [record for record in records if (_position(shard, record) or 0) > self._since]

    async def _compare(self, shard: Shard, records: Sequence[Message], expected: int, journal: JournalReader) -> int:
        """Hold records against the journal from a position on; returns the position that is expected after them."""
        made = await journal.read(expected - 1, len(records))
        if len(made) == len(records) and all(map(_is_same, records, made)):
            self.topic.compared += len(records)
            return expected + len(records)
        for record in records:
            expected = await self._compare_one(shard, record, expected, journal)
            if self.topic.found >= SHOWN_MAX:
                break
        return expected

    async def _compare_one(self, shard: Shard, record: Message, expected: int, journal: JournalReader) -> int:
        self.topic.compared += 1
        facts = {"topic": record.topic, "shard": shard, "offset": record.offset}
        pos = _position(shard, record)
        if pos is None:
            self.topic.add("record_unknown", facts | {"first": expected, "last": expected})
            return expected
        if pos < expected:
            self.topic.add("record_again", facts | {"first": pos, "last": expected - 1})
            return expected
        if pos > expected:
            self._miss(shard, expected, pos - 1)
        made = await journal.read(pos - 1, 1)
        if not made or _position(shard, made[0]) != pos:
            self.topic.add("record_not_posted", facts | {"first": pos - 1, "last": pos})
        elif not _is_same(record, made[0]):
            part = _differing(record, made[0])
            self.topic.add("record_differs", facts | {"member_id": made[0].key.decode(), "pos": pos, "part": part})
        return pos + 1

    def _miss(self, shard: Shard, first: int, last: int) -> None:
        facts = {"topic": self._settings.topic(POINTS_CHANGED), "shard": shard}
        self.topic.add(
            "record_missing" if first == last else "records_missing",
            facts | {"pos": first, "first": first, "last": last},
        )


def _is_same(record: Message, made: OutRecord) -> bool:
    """Whether a record says, to the byte, what the journal says."""
    return bool(record.value == made.value and record.key == made.key and tuple(record.headers) == tuple(made.headers))


def _differing(record: Message, made: OutRecord) -> str:
    """The first part of a record that is not as the journal has it."""
    if record.key != made.key:
        return "key"
    return "value" if record.value != made.value else "header"


def _position(shard: Shard, record: Message | OutRecord) -> int | None:
    """The position that a record names; None where it is of another shard, or of nothing that is known."""
    for name, value in record.headers:
        if name == "ce_id":
            of_shard, _, pos = value.partition(b"-")
            return int(pos) if of_shard == b"%d" % shard and pos.isdigit() else None
    return None
