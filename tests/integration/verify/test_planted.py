"""`pointstream verify` finds whatever is planted in the ledger, and nothing else."""

from typing import NamedTuple

import pytest

from services.cli.verify.result import SHOWN_MAX
from tests.integration.verify.verifying import ORDERS, SHARD, Plant, Verify


class Flaw(NamedTuple):
    """What a superuser does to the ledger, the checks that find it, and how one of the sentences goes."""

    statements: str
    wrong: set[str]
    sentence: str


PLANTED = {
    "something written off that no balance has": Flaw(
        "INSERT INTO write_offs VALUES (:shard, 'alice', 1, 'points', 'o-0', 7)",
        {"debts"},
        "member alice: 7 points were let go and not made good, the account has 0 written off",
    ),
    "a head that is ahead": Flaw(
        "UPDATE shard_heads SET pos = pos + 1 WHERE shard = :shard",
        {"positions"},
        f"shard {SHARD}: position",
    ),
    "a head that is behind": Flaw(
        "UPDATE shard_heads SET pos = pos - 1 WHERE shard = :shard",
        {"positions", "offsets", "redis"},
        f"shard {SHARD}: the journal goes on to position",
    ),
    "a head that is gone": Flaw(
        "DELETE FROM shard_heads WHERE shard = :shard",
        {"positions"},
        f"shard {SHARD}: it has no head",
    ),
    "a hole in the positions": Flaw(
        "UPDATE movements SET pos = pos + 1000 WHERE :second; UPDATE postings SET pos = pos + 1000 WHERE :second;",
        {"positions", "versions", "topic"},
        f"shard {SHARD}: position",
    ),
    "a hole in the versions": Flaw(
        "UPDATE postings SET version = version + 1 WHERE :alice AND version = 6;"
        "UPDATE accounts SET version = version + 1 WHERE :alice",
        {"versions", "redis", "topic"},
        "member alice: version 7 ",
    ),
    "versions in another order": Flaw(
        "UPDATE postings SET version = 100 WHERE :alice AND version = 2;"
        "UPDATE postings SET version = 2 WHERE :alice AND version = 3;"
        "UPDATE postings SET version = 3 WHERE :alice AND version = 100",
        {"versions", "topic"},
        "member alice: version 3 ",
    ),
    "an account of another version": Flaw(
        "UPDATE accounts SET version = version + 1 WHERE :alice",
        {"versions"},
        "member alice: the account has version 7, the last posting 6",
    ),
    "an account with other balances": Flaw(
        "UPDATE accounts SET balances = jsonb_set(balances::jsonb, '{points,available}', '65') WHERE :alice",
        {"versions", "balances", "lots"},
        "member alice: movements come to 180 points available, the account has 65",
    ),
    "an account with another due instant": Flaw(
        "UPDATE accounts SET next_due_at = next_due_at + interval '1 day' WHERE :alice",
        {"versions", "lots"},
        "member alice: the account's next due instant is not that of the last posting",
    ),
    "an account that is gone": Flaw(
        "DELETE FROM accounts WHERE :alice",
        {"versions", "balances", "lots"},
        "member alice: there is a posting of version 6",
    ),
    "an account that nothing was posted to": Flaw(
        "INSERT INTO accounts VALUES (:shard, 'ghost', 1, now(), NULL, 0, '{}')",
        {"versions"},
        "member ghost: the account has version 1",
    ),
    "a posting that states other balances": Flaw(
        "UPDATE postings SET balances = replace(balances::text, '\"available\":60', '\"available\":61')::json"
        " WHERE :second",
        {"running balances", "topic"},
        f"member alice: the posting of version 2 (shard {SHARD}, position",
    ),
    "a movement of another amount": Flaw(
        "UPDATE movements SET amount = amount + 1 WHERE :second AND rule_id = 'base'",
        {"balances", "running balances", "topic"},
        "member alice: movements come to 181 points available, the account has 180",
    ),
    "two movements that cancel out between members": Flaw(
        "UPDATE movements SET amount = amount + 1 WHERE rule_id = 'base' AND (shard, pos) IN"
        " (SELECT shard, pos FROM postings WHERE member_id = 'member-1' AND version = 1);"
        "UPDATE movements SET amount = amount - 1 WHERE rule_id = 'base' AND (shard, pos) IN"
        " (SELECT shard, pos FROM postings WHERE member_id = 'member-2' AND version = 1)",
        {"balances", "running balances", "topic"},
        "member member-2: movements come to 179 points available, the account has 180",
    ),
    "a posting without its movements": Flaw(
        "DELETE FROM movements WHERE :second",
        {"balances", "running balances", "topic"},
        f"member alice: the posting at shard {SHARD}, position",
    ),
    "movements without their posting": Flaw(
        "INSERT INTO movements VALUES (:shard, 777, 1, 'points', 'issued', 'available', 1)",
        {"balances"},
        f"shard {SHARD}, position 777: there are movements, but no posting",
    ),
    "a lot with too little": Flaw(
        "UPDATE lots SET remaining = remaining - 1 WHERE :alice AND lot_id = 1",
        {"lots"},
        "member alice: the lots hold 179 points that are available, the account has 180",
    ),
    "a pending lot with too little": Flaw(
        "UPDATE lots SET remaining = remaining - 1 WHERE :alice AND lot_id = 2",
        {"lots"},
        "member alice: the lots hold 59 points that are pending, the account has 60",
    ),
    "a lot below zero": Flaw(
        "ALTER TABLE lots DROP CONSTRAINT lots_check;UPDATE lots SET remaining = -1 WHERE :alice AND lot_id = 1",
        {"lots"},
        "member alice: lot 1 holds -1 of 30 points",
    ),
    "a lot above its issue": Flaw(
        "ALTER TABLE lots DROP CONSTRAINT lots_check;UPDATE lots SET remaining = 31 WHERE :alice AND lot_id = 1",
        {"lots"},
        "member alice: lot 1 holds 31 of 30 points",
    ),
    "a lot of which points ended that nobody lost": Flaw(
        "ALTER TABLE lots DROP CONSTRAINT lots_check;UPDATE lots SET expired = 4 WHERE :alice AND lot_id = 1",
        {"lots"},
        "member alice: 4 points of the lots ended unspent, the account has 0",
    ),
    "lots that nobody has": Flaw(
        "INSERT INTO lots VALUES (:shard, 'ghost', 1, 'points', NULL, 5, 5)",
        {"lots"},
        "member ghost: the lots hold 5 points that are available, the account has 0",
    ),
    "a debt that the balances do not know": Flaw(
        "INSERT INTO debts VALUES (:shard, 'alice', 1, 'points', 'o-0', 100)",
        {"debts"},
        "member alice: 100 points are owed for orders, the account's debt is 0",
    ),
    "a debt that is owed for nothing": Flaw(
        "UPDATE accounts SET balances = jsonb_set(balances::jsonb, '{points,debt}', '-9') WHERE :alice",
        {"debts", "versions", "balances"},
        "member alice: 0 points are owed for orders, the account's debt is 9",
    ),
    "a posted event without a posting": Flaw(
        "INSERT INTO consumed_events VALUES (0, '/shop', 'e-lost', 't', 'alice', '', 'posted')",
        {"events"},
        "event e-lost of /shop: its outcome is posted, but there is no posting of it for member alice",
    ),
    "a posting whose event was not consumed": Flaw(
        "DELETE FROM consumed_events WHERE event_id = 'o-10'",
        {"events"},
        "event o-10 of /shop: member alice has a posting of it",
    ),
    "a refused event with a posting": Flaw(
        "UPDATE consumed_events SET outcome = 'too_late' WHERE event_id = 'o-10'",
        {"events"},
        "event o-10 of /shop: its outcome is too_late, but member alice has a posting of it",
    ),
    "an event that was posted twice": Flaw(
        "UPDATE postings SET event_id = 'o-10' WHERE event_id = 'o-20'",
        {"events", "topic"},
        "event o-10 of /shop: it has 2 postings",
    ),
    "an event that was posted to another member": Flaw(
        "UPDATE consumed_events SET member_id = 'bob' WHERE event_id = 'o-10'",
        {"events"},
        "event o-10 of /shop: it is about member bob, but its posting",
    ),
    "what follows from an event that was not consumed": Flaw(
        "DELETE FROM consumed_events WHERE event_id = 'o-10';"
        "UPDATE postings SET follows = true WHERE event_id = 'o-10'",
        {"events"},
        "event o-10 of /shop: something followed for member alice",
    ),
    "what follows from an event twice for one member": Flaw(
        "UPDATE consumed_events SET outcome = 'nothing_earned' WHERE event_id = 'o-10';"
        "DELETE FROM consumed_events WHERE event_id = 'o-20';"
        "UPDATE postings SET follows = true, event_id = 'o-10' WHERE event_id IN ('o-10', 'o-20')",
        {"events", "topic"},
        "event o-10 of /shop: something followed 2 times for member alice",
    ),
    "an event that was consumed twice": Flaw(
        "ALTER TABLE consumed_events DROP CONSTRAINT consumed_events_pkey;"
        "INSERT INTO consumed_events SELECT * FROM consumed_events WHERE event_id = 'o-10'",
        {"events"},
        "the events that were posted and those that the journal names are not the same",
    ),
    "an outcome that does not exist": Flaw(
        "UPDATE consumed_events SET outcome = 'lucky' WHERE outcome <> 'posted'",
        {"events"},
        "1 events have the outcome lucky, which does not exist",
    ),
    "an offset beyond the log": Flaw(
        "UPDATE consumer_offsets SET next_offset = next_offset + 1000 WHERE partition = 2",
        {"offsets"},
        ".order-paid/2 is read up to offset",
    ),
    "a posting that says something else than its record": Flaw(
        "UPDATE postings SET order_id = 'other' WHERE :second",
        {"topic"},
        "the record of member alice, position",
    ),
}


@pytest.mark.parametrize("name", PLANTED)
async def test_what_is_planted_is_found(plant: Plant, verified: Verify, name: str) -> None:
    statements, wrong, sentence = PLANTED[name]
    await plant(statements)
    found = await verified()
    assert (found.code, found.wrong) == (1, wrong), found.differences
    assert any(sentence in difference["sentence"] for difference in found.differences), found.differences


async def test_of_many_differences_all_are_counted_and_the_first_are_named(plant: Plant, verified: Verify) -> None:
    await plant("UPDATE consumed_events SET outcome = 'too_late' WHERE outcome = 'posted'")
    found = await verified()
    assert found.checks["events"]["found"] == ORDERS
    assert len(found.sentences("events")) == SHOWN_MAX
