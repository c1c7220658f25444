"""Leases of budgets: each batch uses one of its own, so that no row is written by all of them (docs/adr/0020).

A batch takes of each budget a lease that no other batch has. Where that runs out, it begins anew and takes more: first
what nobody has leased, then what others have left. It keeps a small part of it as a lease, so that few batches ever
wait for another, and what is left of a budget is never far away.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from enum import IntEnum
from uuid import UUID, uuid4

from shared.domain.budget import Lease, Leases
from shared.domain.ids import BudgetId
from shared.domain.program_budgets import BudgetKey
from shared.domain.tally import Period
from shared.ledger import statements
from shared.ledger.database import Connection, Pool

LEASE_PARTS = 32
"""A lease is so small a part of what nobody has leased. With fewer parts, others soon find nothing but leases; with
more of them, leases run out more often."""

FOR_EVER = date.min
"""The only period of a budget that has but one. PostgreSQL has it as -infinity."""

Sizes = Mapping[BudgetKey, int]
"""The budgets that a batch needs, each with its size: the largest, where versions of the program differ."""


class Reach(IntEnum):
    """How far a batch reaches for what it may use of budgets."""

    OWN_LEASE = 0
    UNLEASED = 1
    """Also what nobody has leased: the next batch that wants it waits for this one."""
    ALL = 2
    """Also what others have leased, when they are done: everybody waits for this one."""


class ShortOfBudgetError(Exception):
    """A batch could have more of a budget than its lease has; nothing of it was posted. It has to reach further."""

    def __init__(self, reach: Reach) -> None:
        super().__init__(f"a budget has more, for who reaches as far as {reach.name}")
        self.reach = reach


@dataclass(slots=True)
class Leased:
    """What a batch has of a budget.

    `lease_ids` are the leases that it has locked, and `own` is what they have left together; `others` is what other
    leases have, `leased` what was leased of it in all, and `size` what there is.
    """

    key: BudgetKey
    size: int
    lease_ids: Sequence[UUID]
    leased: int
    own: int
    others: int

    @property
    def unleased(self) -> int:
        """What nobody has leased."""
        return max(0, self.size - self.leased)

    def lease(self, reach: Reach) -> Lease:
        """What the batch may use."""
        beyond = 0 if reach is Reach.OWN_LEASE else self.unleased
        return Lease(self.own + beyond, self.leased - self.own)

    def further(self, short: int, reach: Reach) -> Reach:
        """How far to reach for so many more units: no further than now where they are not to be had."""
        if reach is Reach.OWN_LEASE and self.unleased >= short:
            return Reach.UNLEASED
        beyond = self.others + (self.unleased if reach is Reach.OWN_LEASE else 0)
        return Reach.ALL if reach is not Reach.ALL and beyond >= short else reach


@dataclass(slots=True)
class Held:
    """The leases that a batch has, and how far it reached for them."""

    reach: Reach = Reach.OWN_LEASE
    budgets: dict[BudgetKey, Leased] = field(default_factory=dict)

    @property
    def leases(self) -> dict[BudgetKey, Lease]:
        """What decisions may use."""
        return {key: leased.lease(self.reach) for key, leased in self.budgets.items()}

    def check(self, short: Mapping[BudgetKey, int]) -> None:
        """Raises `ShortOfBudgetError` where a lease was too short, and there is more."""
        reach = max([self.budgets[key].further(units, self.reach) for key, units in short.items()], default=self.reach)
        if reach > self.reach:
            raise ShortOfBudgetError(reach)


async def lock_leases(connection: Connection, sizes: Sizes, reach: Reach) -> Held:
    """Lease of some budgets what a batch may use, until its transaction ends.

    Raises `ShortOfBudgetError` at once where all leases of a budget are taken and there is more: so a batch that has
    none decides nothing in vain.

    The rows of budgets come before those of leases, and both in one order; a lease of its own is one that is free. So
    no two batches wait for each other.
    """
    if not sizes:
        return Held(reach)
    keys = sorted(sizes, key=_columns_of)
    columns = _columns(keys)
    if reach is not Reach.OWN_LEASE:
        await connection.execute(statements.LOCK_BUDGETS, *columns)
    statement = statements.LOCK_ALL_LEASES if reach is Reach.ALL else statements.LOCK_LEASES
    locked = await connection.fetch(statement, *columns)
    held = Held(reach)
    # Read when the locks are there, so that nobody has used anything of them since.
    for key, row in zip(keys, await connection.fetch(statements.READ_BUDGETS, *columns), strict=True):
        own = [lease for lease in locked if lease["n"] == row["n"]]
        unused = sum(lease["unused"] for lease in own)
        held.budgets[key] = Leased(
            key, sizes[key], [lease["lease_id"] for lease in own], row["leased"], unused, row["unused"] - unused
        )
    if reach is Reach.OWN_LEASE and any(not each.lease_ids and each.unleased for each in held.budgets.values()):
        raise ShortOfBudgetError(Reach.UNLEASED)
    return held


async def read_leases(connection: Connection, keys: Sequence[BudgetKey]) -> Leases:
    """What there is of some budgets, for whoever uses nothing of it."""
    if not keys:
        return {}
    rows = await connection.fetch(statements.READ_BUDGETS, *_columns(keys))
    return {key: Lease(None, row["leased"] - row["unused"]) for key, row in zip(keys, rows, strict=True)}


async def write_leases(connection: Connection, held: Held, used: Mapping[BudgetKey, int]) -> None:
    """Keep what is left of the leases when so many units of budgets were used, or given back below zero."""
    if held.reach is Reach.OWN_LEASE:
        changed = [held.budgets[key] for key, units in used.items() if units]
        await _put_leases(connection, [(leased, leased.own - used[leased.key]) for leased in changed])
        return
    kept: list[tuple[Leased, int]] = []
    leased_in_all: list[int] = []
    for key, leased in held.budgets.items():
        units = used.get(key, 0)
        unused, elsewhere = leased.lease(held.reach).after(units)
        keep = (unused or 0) // LEASE_PARTS
        kept.append((leased, keep))
        leased_in_all.append(elsewhere + keep)
    await _end_leases(connection, held)
    await _put_leases(connection, kept)
    if kept:
        await connection.execute(statements.PUT_BUDGETS, *_columns(list(held.budgets)), leased_in_all)


async def _put_leases(connection: Connection, left: Sequence[tuple[Leased, int]]) -> None:
    """Keep what one lease of each budget has left: the first that was locked, or a new one."""
    if left:
        await connection.execute(
            statements.PUT_LEASES,
            *_columns([leased.key for leased, _ in left]),
            [leased.lease_ids[0] if leased.lease_ids else uuid4() for leased, _ in left],
            [unused for _, unused in left],
        )


async def _end_leases(connection: Connection, held: Held) -> None:
    """Nothing is left of the leases that were locked but for the first of each budget."""
    ended = [(leased.key, lease_id) for leased in held.budgets.values() for lease_id in leased.lease_ids[1:]]
    if ended:
        await connection.execute(
            statements.END_LEASES, *_columns([key for key, _ in ended]), [lease_id for _, lease_id in ended]
        )


@dataclass(frozen=True, slots=True)
class BudgetUse:
    """How much of a budget is used, and how much is left of it in leases."""

    key: BudgetKey
    used: int
    unused: int


async def read_budgets(connection: Connection | Pool) -> list[BudgetUse]:
    """All budgets of which something was ever leased, by their names and periods."""
    found = []
    for row in await connection.fetch(statements.LIST_BUDGETS):
        first_day = None if row["period"] == FOR_EVER else row["period"]
        key = BudgetKey(BudgetId(row["budget_id"]), Period(row["per"]), first_day)
        found.append(BudgetUse(key, row["leased"] - row["unused"], row["unused"]))
    return found


def _columns_of(key: BudgetKey) -> tuple[str, str, date]:
    return key.budget_id, key.per.value, key.first_day or FOR_EVER


def _columns(keys: Sequence[BudgetKey]) -> tuple[list[str], list[str], list[date]]:
    rows = [_columns_of(key) for key in keys]
    return [row[0] for row in rows], [row[1] for row in rows], [row[2] for row in rows]
