"""What the ledger keeps for appeals: which events were reversed, and what was written off that can be made good."""

from collections.abc import Iterable, Mapping

from shared.domain.facts import Appeal
from shared.domain.ids import MemberId, Shard, Wallet
from shared.domain.model import Account, Bucket, Movement, Taken, WriteOff
from shared.ledger import statements
from shared.ledger.database import Connection, Pool, copy
from shared.ledger.needs import Wanted
from shared.ledger.plan import Change, KeptAdjustment
from shared.ledger.sharding import shard_of

_REVERSED = ("shard", "member_id", "source", "event_id", "by_source", "by_event_id")


async def read_taken(connection: Connection | Pool, wanted: Iterable[Wanted], shards: int) -> dict[Wanted, Taken]:
    """What some events took. Those that are not known are left out."""
    asked = list(wanted)
    rows = await connection.fetch(
        statements.LOAD_TAKEN,
        [shard_of(member_id, shards) for member_id, _ in asked],
        [member_id for member_id, _ in asked],
        [shard_of(event_id, shards) for _, (_, event_id) in asked],
        [source for _, (source, _) in asked],
        [event_id for _, (_, event_id) in asked],
    )
    found: dict[Wanted, Taken] = {}
    for row in rows:
        key = row["member_id"], (row["source"], row["event_id"])
        taken = found.setdefault(key, Taken(row["version"] or 0, (), row["reversed"], row["of_another"]))
        if row["version"] is not None:
            movement = Movement(
                row["wallet"],
                Bucket(row["from_bucket"]),
                Bucket(row["to_bucket"]),
                row["amount"],
                row["rule_id"],
                row["lot_id"],
                row["order_id"],
            )
            taken.movements = (*taken.movements, movement)
    return found


async def load_write_offs(
    connection: Connection, accounts: Mapping[MemberId, Account], shards: Mapping[MemberId, Shard]
) -> None:
    """Put what was written off, and not made good since, into the accounts of some members."""
    rows = await connection.fetch(statements.LOAD_WRITE_OFFS, list(shards.values()), list(shards))
    for row in rows:
        account = accounts[row["member_id"]]
        written_off = WriteOff(Wallet(row["wallet"]), row["order_id"], row["version"], row["amount"])
        account.write_offs = (*account.write_offs, written_off)


async def write_write_offs(connection: Connection, changes: Iterable[Change]) -> None:
    """Keep what was written off, and what of it was made good."""
    rows = []
    for change in changes:
        if change.after.write_offs is change.before.write_offs:
            continue
        before = set(map(id, change.before.write_offs))
        rows += [
            (change.shard, change.after.member_id, each.version, each.wallet, each.order_id, each.amount)
            for each in change.after.write_offs
            if id(each) not in before
        ]
    if rows:
        await connection.execute(statements.PUT_WRITE_OFFS, *map(list, zip(*rows, strict=True)))


async def write_reversed(connection: Connection, adjustments: Iterable[KeptAdjustment], shards: int) -> None:
    """Keep which events were reversed, so that none is again."""
    rows = []
    for kept in adjustments:
        if isinstance(kept.fact, Appeal) and kept.moved:
            member_id, (source, event_id) = kept.fact.member_id, kept.fact.reverses
            rows.append((shard_of(member_id, shards), member_id, source, event_id, *kept.event.ref.key))
    await copy(connection, "reversed_events", _REVERSED, rows)
