"""What the ledger keeps of members beside their points: who they are, tallies, and the days of streaks."""

from collections.abc import Mapping, Sequence
from datetime import date

import orjson

from shared.domain.facts import MemberChange
from shared.domain.ids import MemberId, RuleId, Shard
from shared.domain.member import KnownProfile, Profile
from shared.domain.model import Account
from shared.domain.streak import StreakDay
from shared.domain.tally import TallyKey
from shared.domain.time import Instant
from shared.ledger import statements
from shared.ledger.database import Connection

FOR_EVER = date.min
"""The period of tallies that never start over. PostgreSQL has it as -infinity."""

Accounts = Mapping[MemberId, Account]
Shards = Mapping[MemberId, Shard]


async def load_profiles(
    connection: Connection, accounts: Accounts, shards: Shards, since: Mapping[MemberId, Instant]
) -> None:
    """Who the members were, each from an instant on."""
    rows = await connection.fetch(
        statements.LOAD_PROFILES, [shards[member_id] for member_id in since], list(since), list(since.values())
    )
    for row in rows:
        account = accounts[row["member_id"]]
        known = KnownProfile(row["version"], row["since"], _profile(row["profile"]))
        account.profiles = (*account.profiles, known)


async def load_first_orders(connection: Connection, accounts: Accounts, shards: Shards) -> None:
    """Whether the members have an order that was accepted."""
    rows = await connection.fetch(statements.FIND_MEMBERS_WITH_ORDERS, list(shards.values()), list(shards))
    for row in rows:
        accounts[row["member_id"]].has_orders = True


async def load_tallies(
    connection: Connection, accounts: Accounts, shards: Shards, wanted: set[tuple[MemberId, TallyKey]]
) -> None:
    """Some tallies of some members."""
    keys = list(wanted)
    rows = await connection.fetch(
        statements.LOAD_TALLIES,
        [shards[member_id] for member_id, _ in keys],
        [member_id for member_id, _ in keys],
        [key.name for _, key in keys],
        [key.period or FOR_EVER for _, key in keys],
    )
    for row in rows:
        account = accounts[row["member_id"]]
        key = TallyKey(row["name"], None if row["period"] == FOR_EVER else row["period"])
        account.tallies = {**account.tallies, key: row["value"]}


async def load_streak_days(
    connection: Connection, accounts: Accounts, shards: Shards, first_days: Mapping[tuple[MemberId, RuleId], date]
) -> None:
    """The days of some streaks, each from a first one on."""
    rows = await connection.fetch(
        statements.LOAD_STREAK_DAYS,
        [shards[member_id] for member_id, _ in first_days],
        [member_id for member_id, _ in first_days],
        [streak for _, streak in first_days],
        list(first_days.values()),
    )
    found: dict[tuple[MemberId, RuleId], dict[date, StreakDay]] = {}
    for row in rows:
        days = found.setdefault((row["member_id"], row["streak"]), {})
        days[row["day"]] = StreakDay(row["length"], row["given"], row["program_version"])
    for (member_id, streak), days in found.items():
        account = accounts[member_id]
        account.days = {**account.days, streak: days}


async def write_profiles(connection: Connection, changes: Sequence[tuple[Shard, MemberChange]]) -> None:
    """Keep who members are, each from when it happened on."""
    if changes:
        await connection.execute(
            statements.ADD_PROFILES,
            [shard for shard, _ in changes],
            [change.member_id for _, change in changes],
            [change.version for _, change in changes],
            [change.occurred_at for _, change in changes],
            [_dump(change.profile) for _, change in changes],
        )


async def write_tallies(connection: Connection, tallies: Mapping[tuple[Shard, MemberId, TallyKey], int]) -> None:
    """Keep tallies as they are from now on."""
    if tallies:
        await connection.execute(
            statements.PUT_TALLIES,
            [shard for shard, _, _ in tallies],
            [member_id for _, member_id, _ in tallies],
            [key.name for _, _, key in tallies],
            [key.period or FOR_EVER for _, _, key in tallies],
            list(tallies.values()),
        )


async def write_streak_days(
    connection: Connection, days: Mapping[tuple[Shard, MemberId, RuleId, date], StreakDay]
) -> None:
    """Keep days of streaks as they are from now on."""
    if days:
        await connection.execute(
            statements.PUT_STREAK_DAYS,
            *map(list, zip(*days, strict=True)),
            [day.length for day in days.values()],
            [day.given for day in days.values()],
            [day.version for day in days.values()],
        )


def _dump(profile: Profile) -> bytes:
    return orjson.dumps(
        {
            "birthday": profile.birthday,
            "country": profile.country,
            "joined": profile.joined,
            "tags": sorted(profile.tags),
        }
    )


def _profile(kept: str | bytes) -> Profile:
    parts = orjson.loads(kept)
    joined, birthday = parts["joined"], parts["birthday"]
    return Profile(
        birthday=None if birthday is None else (birthday[0], birthday[1]),
        country=parts["country"],
        joined=None if joined is None else date.fromisoformat(joined),
        tags=frozenset(parts["tags"]),
    )
