"""Reading the journal of a shard as the records that it is published as."""

from collections.abc import Sequence

import orjson

from services.cli.verify.result import Findings
from services.publisher.records import OutRecord, record_of
from shared.contracts.points_changed import source_of
from shared.domain.ids import Shard
from shared.ledger.database import Connection, Record
from shared.ledger.journal import read_movements, read_postings

_Balances = dict[str, dict[str, int]]


class JournalReader:
    """Reads one shard, and follows the balances that each member's postings state."""

    def __init__(self, connection: Connection, shard: Shard, installation: str, running: Findings) -> None:
        self._connection = connection
        self._shard = shard
        self._source = source_of(installation).encode()
        self._running = _RunningBalances(running)
        self._followed = 0

    async def read(self, after: int, postings_max: int) -> list[OutRecord]:
        """The records of the next postings behind a position, in order."""
        after_by_shard = {self._shard: after}
        found = await read_postings(self._connection, after_by_shard, postings_max)
        if not found:
            return []
        movements = await read_movements(self._connection, after_by_shard, found)
        records = []
        for posting in found[self._shard]:
            pos = posting["pos"]
            moved = movements.get((self._shard, pos), ())
            if pos > self._followed:
                self._followed = pos
                self._running.follow(posting, moved)
            records.append(record_of(posting, moved, self._source))
        return records


class _RunningBalances:
    """What the postings of a shard state, from each member's last posting to the next."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._last: dict[str, tuple[int, _Balances]] = {}

    def follow(self, posting: Record, movements: Sequence[Record]) -> None:
        """Hold a posting against the one before it. The first one that is seen of a member is believed, unless it is
        the very first: a slice begins somewhere."""
        member_id, version = posting["member_id"], posting["version"]
        stated = orjson.loads(posting["balances"])
        before, balances = self._last.get(member_id, (0, {}))
        self._last[member_id] = version, stated
        if before != version - 1:
            return
        self._findings.compared += 1
        expected = _moved(balances, movements)
        if expected != stated and _without_zeros(expected) != _without_zeros(stated):
            facts = dict(posting) | {
                "balances": posting["balances"].decode(),
                "expected": orjson.dumps(expected).decode(),
            }
            self._findings.add("running_balance", facts)


def _moved(balances: _Balances, movements: Sequence[Record]) -> _Balances:
    """The balances after the movements. Those given are changed: nobody needs them any more."""
    for movement in movements:
        buckets = balances.setdefault(movement["wallet"], {})
        from_bucket, to_bucket, amount = movement["from_bucket"], movement["to_bucket"], movement["amount"]
        buckets[from_bucket] = buckets.get(from_bucket, 0) - amount
        buckets[to_bucket] = buckets.get(to_bucket, 0) + amount
    return balances


def _without_zeros(balances: _Balances) -> dict[tuple[str, str], int]:
    return {
        (wallet, bucket): points for wallet, buckets in balances.items() for bucket, points in buckets.items() if points
    }
