"""The ledger counts every event once, all or nothing, and gives its postings gapless positions."""

import asyncio
from dataclasses import replace

import asyncpg
import orjson
import pytest

from shared.domain.facts import Sweep
from shared.domain.ids import MemberId
from shared.domain.program import Programs
from shared.domain.time import DAY_US, EPOCH, Instant
from shared.ledger.batch import CONFLICTING_DUPLICATE, Batch, DeadLetter, FencedError, Progress
from shared.ledger.database import Pool, Role
from shared.ledger.post import post
from shared.ledger.programs import load_programs
from shared.ledger.sharding import shard_of
from shared.settings import Settings
from shared.setup import open_ledger
from tests.support.orders import NOON, consumed, message_of, refund_consumed
from tests.support.unchanging import assert_append_only

SHARDS = 4


@pytest.fixture
async def programs(ledger: Pool) -> Programs:
    async with ledger.acquire() as connection:
        return await load_programs(connection)


async def available(ledger: Pool, member_id: str = "alice") -> int:
    points = await ledger.fetchval(
        "SELECT (balances -> 'points' ->> 'available')::bigint FROM accounts WHERE shard = $1 AND member_id = $2",
        shard_of(member_id, SHARDS),
        member_id,
    )
    return points or 0


async def test_an_event_that_comes_twice_in_a_batch_counts_once(ledger: Pool, programs: Programs) -> None:
    posted = await post(ledger, Batch(events=[consumed("o-1"), consumed("o-1")]), programs, SHARDS)
    assert (posted.postings, posted.duplicates, posted.dead_letters) == (1, 1, 0)
    assert await available(ledger) == 10


async def test_an_event_that_comes_again_in_a_later_batch_counts_once(ledger: Pool, programs: Programs) -> None:
    await post(ledger, Batch(events=[consumed("o-1")]), programs, SHARDS)
    posted = await post(ledger, Batch(events=[consumed("o-1")]), programs, SHARDS)
    assert (posted.postings, posted.duplicates, posted.dead_letters) == (0, 1, 0)
    assert await available(ledger) == 10


@pytest.mark.parametrize("same_batch", [True, False])
async def test_a_used_id_with_other_content_is_a_dead_letter_and_the_first_stands(
    ledger: Pool, programs: Programs, same_batch: bool
) -> None:
    first = consumed("o-1", cents=[1000])
    other = consumed("o-1", cents=[9900], offset=7)
    batches = [[first, other]] if same_batch else [[first], [other]]
    for events in batches:
        posted = await post(ledger, Batch(events=events), programs, SHARDS)
    assert posted.dead_letters == 1
    assert await available(ledger) == 10
    letter = await ledger.fetchrow('SELECT defect, path, "offset", message_value FROM dead_letters')
    assert letter is not None
    assert (letter["defect"], letter["path"], letter["offset"]) == (CONFLICTING_DUPLICATE, "id", 7)
    assert letter["message_value"] == other.message.value


async def test_a_used_id_is_kept_beside_what_nobody_could_read(ledger: Pool, programs: Programs) -> None:
    letter = DeadLetter(message_of(b"not json", 6), "not_json", "value", "The value is no JSON.")
    events = [consumed("o-1", cents=[1000]), consumed("o-1", cents=[9900], offset=7)]
    posted = await post(ledger, Batch(events=events, dead_letters=[letter]), programs, SHARDS)
    assert (posted.dead_letters, posted.postings) == (2, 1)
    kept = await ledger.fetch('SELECT "offset", defect FROM dead_letters ORDER BY "offset"')
    assert [tuple(row) for row in kept] == [(6, "not_json"), (7, CONFLICTING_DUPLICATE)]


async def test_a_used_id_with_another_member_in_it_is_a_dead_letter_too(ledger: Pool, programs: Programs) -> None:
    members = [f"member-{number}" for number in range(20)]
    await post(ledger, Batch(events=[consumed("o-1", members[0], event_id="e-1")]), programs, SHARDS)
    for offset, member_id in enumerate(members[1:], 1):
        batch = Batch(events=[consumed("o-1", member_id, event_id="e-1", offset=offset)])
        posted = await post(ledger, batch, programs, SHARDS)
        assert posted.dead_letters == 1
        assert await available(ledger, member_id) == 0


async def test_an_order_earns_once_whatever_events_tell_of_it(ledger: Pool, programs: Programs) -> None:
    batch = Batch(events=[consumed("o-1"), consumed("o-1", event_id="again")])
    await post(ledger, batch, programs, SHARDS)
    posted = await post(ledger, Batch(events=[consumed("o-1", event_id="and-again")]), programs, SHARDS)
    assert posted.outcomes == {"order_already_paid": 1}
    assert await available(ledger) == 10
    outcomes = await ledger.fetch("SELECT event_id, outcome FROM consumed_events")
    assert {row["event_id"]: row["outcome"] for row in outcomes} == {
        "o-1": "posted",
        "again": "order_already_paid",
        "and-again": "order_already_paid",
    }


async def test_an_order_without_a_point_is_kept_and_earns_nothing_when_it_comes_again(
    ledger: Pool, programs: Programs
) -> None:
    batch = Batch(events=[consumed("o-1", cents=[99]), consumed("o-1", cents=[5000], event_id="again")])
    posted = await post(ledger, batch, programs, SHARDS)
    assert posted.outcomes == {"nothing_earned": 1, "order_already_paid": 1}
    assert await ledger.fetchval("SELECT count(*) FROM orders") == 1
    assert await ledger.fetchval("SELECT count(*) FROM accounts") == 0


async def test_two_workers_with_the_same_events_count_each_once(ledger: Pool, programs: Programs) -> None:
    events = [consumed(f"o-{number}", f"member-{number % 7}") for number in range(200)]
    results = await asyncio.gather(
        *(post(ledger, Batch(events=list(order)), programs, SHARDS) for order in (events, events[::-1], events))
    )
    assert sum(result.postings for result in results) == 200
    assert sum(result.duplicates for result in results) == 400
    assert await ledger.fetchval("SELECT count(*) FROM postings") == 200


async def test_a_refund_and_its_order_see_each_other_when_two_workers_have_them_and_nobody_knows_the_member(
    ledger: Pool, programs: Programs
) -> None:
    members = [f"member-{number}" for number in range(40)]
    orders = [Batch(events=[consumed(f"o-{member_id}", member_id)]) for member_id in members]
    refunds = [Batch(events=[refund_consumed(f"o-{member_id}", member_id)]) for member_id in members]
    await asyncio.gather(
        *(post(ledger, batch, programs, SHARDS) for pair in zip(orders, refunds, strict=True) for batch in pair)
    )
    assert [await available(ledger, member_id) for member_id in members] == [0] * len(members)
    assert await ledger.fetchval("SELECT count(*) FROM refunds") == len(members)


async def test_positions_and_versions_have_no_gap_when_workers_meet(ledger: Pool, programs: Programs) -> None:
    async def work(worker: int) -> None:
        for batch in range(5):
            events = [consumed(f"o-{worker}-{batch}-{n}", f"member-{n % 11}") for n in range(30)]
            await post(ledger, Batch(events=events), programs, SHARDS)

    await asyncio.gather(*(work(worker) for worker in range(4)))
    shards = await ledger.fetch(
        "SELECT h.pos, count(p.pos) AS postings, min(p.pos) AS first, max(p.pos) AS last FROM shard_heads h"
        " LEFT JOIN postings p USING (shard) GROUP BY h.shard, h.pos"
    )
    assert sum(row["postings"] for row in shards) == 600
    assert all(row["pos"] == row["postings"] == (row["last"] or 0) for row in shards)
    accounts = await ledger.fetch(
        "SELECT a.version, count(*) AS postings, max(p.version) AS last FROM accounts a"
        " JOIN postings p USING (shard, member_id) GROUP BY a.shard, a.member_id, a.version"
    )
    assert len(accounts) == 11
    assert all(row["version"] == row["postings"] == row["last"] for row in accounts)


async def test_a_shard_without_a_head_is_named_and_nothing_is_posted(
    settings: Settings, ledger: Pool, programs: Programs
) -> None:
    connection = await asyncpg.connect(settings.database)
    await connection.execute("DELETE FROM shard_heads WHERE shard = 1")
    await connection.close()
    members = [next(name for name in map("m-{}".format, range(99)) if shard_of(name, SHARDS) == n) for n in (0, 1)]
    events = [consumed(f"o-{member_id}", member_id) for member_id in members]
    with pytest.raises(RuntimeError, match=r"shards \[1\] have no head row"):
        await post(ledger, Batch(events=events), programs, SHARDS)
    assert await ledger.fetchval("SELECT count(*) FROM postings") == 0
    assert await ledger.fetchval("SELECT count(*) FROM consumed_events") == 0


async def test_a_failure_in_the_middle_leaves_nothing(ledger: Pool, programs: Programs) -> None:
    await ledger.execute("INSERT INTO consumer_offsets VALUES ('g', 'orders', 0, 5, 1)")
    unwritable = replace(consumed("o-2"), digest=None)  # type: ignore[arg-type]
    batch = Batch("g", [consumed("o-1"), unwritable], progress=[Progress("orders", 0, 9, 1, NOON)])
    with pytest.raises(asyncpg.PostgresError):
        await post(ledger, batch, programs, SHARDS)
    for table in ("postings", "movements", "accounts", "lots", "orders", "consumed_events"):
        assert await ledger.fetchval(f"SELECT count(*) FROM {table}") == 0, table  # noqa: S608
    assert await ledger.fetchval("SELECT next_offset FROM consumer_offsets") == 5
    assert await ledger.fetchval("SELECT sum(pos) FROM shard_heads") == 0


async def test_the_worker_of_an_older_generation_posts_nothing(ledger: Pool, programs: Programs) -> None:
    await ledger.execute("INSERT INTO consumer_offsets VALUES ('g', 'orders', 0, 5, 3), ('g', 'orders', 1, 5, 2)")
    progress = [Progress("orders", 0, 9, 2, NOON), Progress("orders", 1, 9, 2, NOON)]
    with pytest.raises(FencedError, match="orders/0"):
        await post(ledger, Batch("g", [consumed("o-1")], progress=progress), programs, SHARDS)
    assert await ledger.fetchval("SELECT count(*) FROM postings") == 0
    assert await ledger.fetchval("SELECT max(next_offset) FROM consumer_offsets") == 5


async def test_an_offset_moves_in_its_own_group_topic_and_partition_alone(ledger: Pool, programs: Programs) -> None:
    await ledger.execute(
        "INSERT INTO consumer_offsets VALUES"
        " ('g', 'orders', 0, 5, 1), ('g', 'orders', 1, 5, 1), ('g', 'refunds', 0, 5, 1), ('h', 'orders', 0, 5, 1)"
    )
    await post(ledger, Batch("g", [consumed("o-1")], progress=[Progress("orders", 0, 9, 1, NOON)]), programs, SHARDS)
    rows = await ledger.fetch("SELECT consumer_group, topic, partition FROM consumer_offsets WHERE next_offset <> 5")
    assert [tuple(row) for row in rows] == [("g", "orders", 0)]


@pytest.mark.parametrize(
    ("orders", "refunds", "said"),
    [(2, 1, "orders/0 "), (1, 2, "refunds/0 "), (2, 2, "orders/0, refunds/0 "), (0, 1, "orders/0 ")],
)
async def test_a_fenced_worker_is_told_which_partitions_it_lost(
    ledger: Pool, programs: Programs, orders: int, refunds: int, said: str
) -> None:
    """Topics have partitions of the same numbers. Of generation 0 there never was an owner."""
    await ledger.execute(
        "INSERT INTO consumer_offsets VALUES ('g', 'orders', 0, 5, $1), ('g', 'refunds', 0, 5, $2)", orders, refunds
    )
    progress = [Progress("orders", 0, 9, 1, NOON), Progress("refunds", 0, 9, 1, NOON)]
    with pytest.raises(FencedError, match=f"another worker owns {said}by now"):
        await post(ledger, Batch("g", [consumed("o-1")], progress=progress), programs, SHARDS)
    assert await ledger.fetchval("SELECT count(*) FROM postings") == 0
    assert await ledger.fetchval("SELECT max(next_offset) FROM consumer_offsets") == 5


async def test_offsets_never_go_back_and_what_was_read_from_an_older_one_is_not_posted(
    ledger: Pool, programs: Programs
) -> None:
    await ledger.execute("INSERT INTO consumer_offsets VALUES ('g', 'orders', 0, 9, 1)")
    batch = Batch("g", [consumed("o-1")], progress=[Progress("orders", 0, 8, 1, NOON)])
    with pytest.raises(FencedError, match="orders/0"):
        await post(ledger, batch, programs, SHARDS)
    assert await ledger.fetchval("SELECT next_offset FROM consumer_offsets") == 9
    assert await ledger.fetchval("SELECT count(*) FROM postings") == 0


async def test_to_pass_what_is_no_event_does_not_turn_time_back(ledger: Pool, programs: Programs) -> None:
    """A marker of a transaction has no arrival of its own; that of the last event stands."""
    await ledger.execute("INSERT INTO consumer_offsets VALUES ('g', 'orders', 0, 5, 1)")
    await post(ledger, Batch("g", [consumed("o-1")], progress=[Progress("orders", 0, 6, 1, NOON)]), programs, SHARDS)
    await post(ledger, Batch("g", progress=[Progress("orders", 0, 7, 1, EPOCH)]), programs, SHARDS)
    row = await ledger.fetchrow("SELECT next_offset, arrived_at FROM consumer_offsets")
    assert row is not None
    assert tuple(row) == (7, NOON)


async def test_dead_letters_are_kept_as_they_came_beside_the_events_around_them(
    ledger: Pool, programs: Programs
) -> None:
    headers = (("h", b"\xfe"), ("retry\x00attempts", b"\x00\x00\x00\x01"), ("none", None))
    message = message_of(b"\x00\xff not json", 42, partition=3, headers=headers)
    letter = DeadLetter(message, "not_json", "value", "The value is no JSON.")
    posted = await post(ledger, Batch(events=[consumed("o-1")], dead_letters=[letter]), programs, SHARDS)
    assert (posted.duplicates, posted.dead_letters, posted.postings) == (0, 1, 1)
    row = await ledger.fetchrow('SELECT topic, partition, "offset", message_key, message_value FROM dead_letters')
    assert row is not None
    assert tuple(row) == ("orders", 3, 42, None, b"\x00\xff not json")
    kept = orjson.loads(await ledger.fetchval("SELECT headers FROM dead_letters"))
    assert kept == [["h", "fe"], ["retry\x00attempts", "00000001"], ["none", None]]
    assert await available(ledger) == 10


async def test_a_sweep_settles_once_however_often_it_comes(ledger: Pool, programs: Programs) -> None:
    await post(ledger, Batch(events=[consumed("o-1")]), programs, SHARDS)
    later = Instant(NOON + 200 * DAY_US)
    sweeps = [Sweep(MemberId("alice"), later), Sweep(MemberId("alice"), later), Sweep(MemberId("nobody"), later)]
    posted = await post(ledger, Batch(sweeps=sweeps), programs, SHARDS)
    again = await post(ledger, Batch(sweeps=sweeps), programs, SHARDS)
    assert (posted.postings, again.postings) == (1, 0)
    assert await available(ledger) == 0
    assert await ledger.fetchval("SELECT next_due_at FROM accounts") is None


async def test_a_lot_keeps_its_instants_when_points_are_taken_out_of_it(ledger: Pool, programs: Programs) -> None:
    """A house brand's order has a lot that is active and ends, and one that is pending."""
    statement = "SELECT lot_id, activates_at, expires_at FROM lots ORDER BY lot_id"
    await post(ledger, Batch(events=[consumed("o-1", brand="Private")]), programs, SHARDS)
    before = await ledger.fetch(statement)
    assert [row["activates_at"] is None for row in before] == [True, False]
    assert all(row["expires_at"] is not None for row in before)
    await post(ledger, Batch(events=[refund_consumed("o-1")]), programs, SHARDS)
    assert await ledger.fetch(statement) == before
    assert await ledger.fetchval("SELECT sum(remaining) FROM lots") == 0


async def test_what_ended_of_a_lot_is_kept_with_it(ledger: Pool, programs: Programs) -> None:
    """A refund may take it back from there."""
    await post(ledger, Batch(events=[consumed("o-1"), consumed("o-2", cents=[3000])]), programs, SHARDS)
    await post(ledger, Batch(sweeps=[Sweep(MemberId("alice"), Instant(NOON + 200 * DAY_US))]), programs, SHARDS)
    lots = await ledger.fetch("SELECT remaining, expired FROM lots ORDER BY lot_id")
    assert [tuple(lot) for lot in lots] == [(0, 10), (0, 30)]


async def test_what_is_owed_is_repaid_first(ledger: Pool, programs: Programs) -> None:
    """SEMANTICS G10, its second half: a debt of 100, then 150 are earned: debt 0, lot 50."""
    await post(ledger, Batch(events=[consumed("o-1", cents=[500])]), programs, SHARDS)
    shard = shard_of("alice", SHARDS)
    await ledger.execute(
        "UPDATE accounts SET balances = jsonb_set(balances::jsonb, '{points,debt}', '-100')::json"
        " WHERE member_id = 'alice'"
    )
    await ledger.execute("INSERT INTO debts VALUES ($1, 'alice', 1, 'points', 'old-order', 100)", shard)
    await post(ledger, Batch(events=[consumed("o-2", cents=[15_000])]), programs, SHARDS)
    lot = await ledger.fetchrow("SELECT issued, remaining FROM lots WHERE lot_id = 2")
    assert lot is not None
    assert tuple(lot) == (150, 50)
    assert await ledger.fetchval("SELECT count(*) FROM debts") == 0
    assert await ledger.fetchval("SELECT (balances -> 'points' ->> 'debt')::int FROM accounts") == 0
    assert await available(ledger) == 5 + 50


@pytest.mark.parametrize("table", ["postings", "movements"])
@pytest.mark.parametrize("change", ["DELETE FROM {}", "UPDATE {} SET pos = pos + 1", "TRUNCATE {} CASCADE"])
async def test_nobody_changes_the_journal(
    settings: Settings, ledger: Pool, programs: Programs, table: str, change: str
) -> None:
    await post(ledger, Batch(events=[consumed("o-1")]), programs, SHARDS)
    await assert_append_only(settings, (Role.WRITER, Role.PUBLISHER, Role.READER), change.format(table))


@pytest.mark.parametrize("role", [Role.PUBLISHER, Role.READER])
async def test_who_only_reads_cannot_write(settings: Settings, ledger: Pool, role: Role) -> None:
    async with open_ledger(settings, role) as pool:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await pool.execute("INSERT INTO shard_heads VALUES (99)")


async def test_the_schema_belongs_to_the_migrator_alone(ledger: Pool) -> None:
    owners = await ledger.fetch("SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public'")
    assert [row["tableowner"] for row in owners] == [Role.MIGRATOR]
    assert await ledger.fetchval("SELECT has_schema_privilege('pointstream_writer', 'public', 'CREATE')") is False
