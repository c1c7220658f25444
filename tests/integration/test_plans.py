"""The hot statements find their rows by index, whatever the statistics say: what an event costs does not grow."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from shared.ledger import statements
from shared.ledger.database import Pool

INT = "'{1,2}'::int[]"
TEXT = "'{a,b}'::text[]"
LONG = "'{1,2}'::bigint[]"
TIME = "'{2026-01-01T00:00Z,2026-01-01T00:00Z}'::timestamptz[]"
DAY = "'{2026-01-01,2026-01-02}'::date[]"
MOMENT = "'2026-01-01T00:00Z'::timestamptz"

HOT = {
    "advance_offsets": (statements.ADVANCE_OFFSETS, ["'g'", TEXT, INT, LONG, LONG, TIME]),
    "clear_debts": (statements.CLEAR_DEBTS, [INT, TEXT]),
    "find_consumed": (statements.FIND_CONSUMED, [INT, TEXT, TEXT]),
    "find_due_accounts": (statements.FIND_DUE_ACCOUNTS, [INT, MOMENT, "10"]),
    "find_first_orders": (statements.FIND_FIRST_ORDERS, [INT, TEXT]),
    "find_members_with_orders": (statements.FIND_MEMBERS_WITH_ORDERS, [INT, TEXT]),
    "load_debts": (statements.LOAD_DEBTS, [INT, TEXT]),
    "load_due_lots": (statements.LOAD_DUE_LOTS, [INT, TEXT, TIME]),
    "load_open_lots": (statements.LOAD_OPEN_LOTS, [INT, TEXT, INT, TEXT, INT]),
    "load_orders": (statements.LOAD_ORDERS, [INT, TEXT, TEXT, "'{t,f}'::bool[]"]),
    "load_profiles": (statements.LOAD_PROFILES, [INT, TEXT, TIME]),
    "load_streak_days": (statements.LOAD_STREAK_DAYS, [INT, TEXT, TEXT, DAY]),
    "load_tallies": (statements.LOAD_TALLIES, [INT, TEXT, TEXT, DAY]),
    "lock_accounts": (statements.LOCK_ACCOUNTS, [INT, TEXT]),
    "read_account": (statements.READ_ACCOUNT, ["1", "'a'"]),
    "read_movements": (statements.READ_MOVEMENTS, [INT, LONG, LONG]),
    "read_postings": (statements.READ_POSTINGS, [INT, LONG, "10"]),
    "read_referrals": (statements.READ_REFERRALS, [INT, TEXT]),
    "read_statement": (statements.READ_STATEMENT, ["1", "'a'", "5", "10"]),
    "take_positions": (statements.TAKE_POSITIONS, [INT, LONG]),
    "update_accounts": (statements.UPDATE_ACCOUNTS, [INT, TEXT, LONG, TIME, TIME, INT, "'{1,2}'::json[]"]),
    "update_lots": (statements.UPDATE_LOTS, [INT, TEXT, INT, LONG, TIME, TIME, LONG]),
}


@pytest.mark.parametrize("name", HOT)
async def test_a_hot_statement_scans_no_table(ledger: Pool, name: str) -> None:
    statement, parameters = HOT[name]
    async with ledger.acquire() as connection:
        await connection.execute(f"PREPARE hot AS {statement}")
        try:
            plan = json.loads(await connection.fetchval(f"EXPLAIN (FORMAT JSON) EXECUTE hot ({', '.join(parameters)})"))
        finally:
            await connection.execute("DEALLOCATE hot")
    nodes = list(walk(plan[0]["Plan"]))
    assert [node["Relation Name"] for node in nodes if node["Node Type"] == "Seq Scan"] == []
    assert any("Index" in node["Node Type"] for node in nodes)


def walk(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for child in node.get("Plans", ()):
        yield from walk(child)
