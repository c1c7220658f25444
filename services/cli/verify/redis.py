"""The check of Redis against the journal, each cached balance by its own version."""

import orjson

from services.cli.verify import statements
from services.cli.verify.progress import Progress
from services.cli.verify.result import Findings
from services.cli.verify.snapshot import QUERY_TIMEOUT_S, Snapshot
from shared.cache.balances import BalanceCache, CachedBalance
from shared.domain.ids import Shard
from shared.ledger.database import Connection, Record

AT_ONCE = 1_000
"""Members whose balances are asked for in one round trip."""

Cursors = dict[Shard, int | None]


async def check_redis(
    snapshot: Snapshot,
    cache: BalanceCache,
    cursors: Cursors,
    since: int,
    findings: Findings,
    progress: Progress,
) -> None:
    """Hold each balance in Redis against the posting that gave the account this version.

    A balance that is missing is no difference, and neither is one that is newer than the snapshot. `cursors` were read
    before the snapshot was taken, so they cannot be ahead of it.
    """
    async with snapshot.connection() as connection, snapshot.connection() as accounts:
        await _check_cursors(connection, cursors, findings)
        progress.start("redis", await connection.fetchval("SELECT count(*) FROM accounts", timeout=QUERY_TIMEOUT_S))
        cursor = await accounts.cursor(statements.ACCOUNTS, since, timeout=QUERY_TIMEOUT_S)
        while rows := await cursor.fetch(AT_ONCE, timeout=QUERY_TIMEOUT_S):
            await _check_members(connection, cache, rows, findings)
            progress.advance("redis", len(rows))


async def _check_cursors(connection: Connection, cursors: Cursors, findings: Findings) -> None:
    for row in await connection.fetch("SELECT shard, pos FROM shard_heads ORDER BY shard"):
        cursor = cursors.get(row["shard"])
        if cursor is not None and cursor > row["pos"]:
            findings.add("redis_ahead", {"shard": row["shard"], "position": cursor, "head": row["pos"]})


async def _check_members(
    connection: Connection, cache: BalanceCache, accounts: list[Record], findings: Findings
) -> None:
    """Compare what Redis has of these accounts."""
    cached = await cache.read_many([account["member_id"] for account in accounts])
    known = [
        (account["shard"], entry)
        for account, entry in zip(accounts, cached, strict=True)
        if entry is not None and entry.version <= account["version"]
    ]
    if not known:
        return
    rows = await connection.fetch(
        statements.POSTINGS_AT,
        [shard for shard, _ in known],
        [entry.member_id for _, entry in known],
        [entry.version for _, entry in known],
        timeout=QUERY_TIMEOUT_S,
    )
    postings = {row["member_id"]: row for row in rows}
    for shard, entry in known:
        findings.compared += 1
        posting = postings.get(entry.member_id)
        problem = _problem(entry, posting)
        if problem is not None:
            facts = {
                "member_id": entry.member_id,
                "shard": shard,
                "version": entry.version,
                "cached": _text(entry.balances),
                "balances": "" if posting is None else _text(posting["balances"]),
            }
            findings.add(problem, facts)


def _problem(entry: CachedBalance, posting: Record | None) -> str | None:
    if posting is None:
        return "redis_version"
    if entry.balances != posting["balances"] and _parsed(entry.balances) != orjson.loads(posting["balances"]):
        return "redis"
    if entry.next_due_at != posting["next_due_at"]:
        return "redis_due"
    return None


def _parsed(balances: bytes) -> object:
    """What Redis has, if it is JSON at all."""
    try:
        return orjson.loads(balances)
    except orjson.JSONDecodeError:
        return None


def _text(balances: bytes) -> str:
    return balances.decode(errors="replace")
