"""Whether movements, balances, lots and Redis say the same: sums by wallet and bucket."""

from collections import Counter
from dataclasses import dataclass
from importlib.resources import files

import orjson

from shared.cache.balances import BalanceCache
from shared.domain.ids import MemberId, Wallet
from shared.domain.model import Bucket
from shared.ledger.database import Connection

Sums = dict[tuple[str, str], int]
"""Points by wallet and bucket, without zeros."""

READ_AT_ONCE = 1_000


def statement(name: str) -> str:
    """One of this command's own statements."""
    return (files("services.cli") / "sql" / f"{name}.sql").read_text(encoding="utf-8")


@dataclass(frozen=True, slots=True)
class Totals:
    """The same thing, counted four times."""

    movements: Sums
    balances: Sums
    lots: Sums
    cached: Sums
    cached_members: int
    members: int

    def differences(self, spendable: set[Wallet]) -> list[str]:
        """What does not agree, a sentence each. Lots are held against the wallets that keep them."""
        found = [
            f"{wallet}.{bucket}: movements come to {self.movements.get((wallet, bucket), 0)},"
            f" balances to {self.balances.get((wallet, bucket), 0)}"
            for wallet, bucket in sorted(self.movements.keys() | self.balances.keys())
            if self.movements.get((wallet, bucket), 0) != self.balances.get((wallet, bucket), 0)
        ]
        for wallet in sorted(spendable):
            for bucket in (Bucket.AVAILABLE, Bucket.PENDING):
                key = (str(wallet), bucket.value)
                if self.lots.get(key, 0) != self.balances.get(key, 0):
                    found.append(
                        f"{wallet}.{bucket}: lots hold {self.lots.get(key, 0)}, balances {self.balances.get(key, 0)}"
                    )
        if self.cached_members == self.members and self.cached != self.balances:
            found.append("Redis shows other sums than the balances")
        return found


async def read_totals(connection: Connection, cache: BalanceCache) -> Totals:
    """Count everything, in one snapshot of the database; Redis is read right after it."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        movements = await _sums(connection, "sum_movements")
        balances = await _sums(connection, "sum_balances")
        lots = await _sums(connection, "sum_lots")
        members = [MemberId(row["member_id"]) for row in await connection.fetch("SELECT member_id FROM accounts")]
    cached: Counter[tuple[str, str]] = Counter()
    found = 0
    for start in range(0, len(members), READ_AT_ONCE):
        for entry in await cache.read_many(members[start : start + READ_AT_ONCE]):
            if entry is None:
                continue
            found += 1
            for wallet, buckets in orjson.loads(entry.balances).items():
                for bucket, points in buckets.items():
                    cached[wallet, bucket] += points
    return Totals(movements, balances, lots, _without_zeros(cached), found, len(members))


async def _sums(connection: Connection, name: str) -> Sums:
    rows = await connection.fetch(statement(name))
    return _without_zeros({(row["wallet"], row["bucket"]): row["points"] for row in rows})


def _without_zeros(sums: Sums) -> Sums:
    return {key: points for key, points in sums.items() if points}
