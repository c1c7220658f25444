"""What an order costs on a ledger that has grown, beside one that has not.

Both ledgers have the same members, so that the orders do the same in them; one has as many postings more as it takes.
"""

import asyncpg
import orjson
from aiokafka import AIOKafkaProducer

from services.cli.bench.orders import MEMBERS
from shared.ledger.sharding import shard_of
from shared.ledger.sql_files import read_sql
from shared.settings import Settings
from shared.setup import SHARDS
from shared.stream.topics import PUBLISHED, SHARES

MOVEMENTS_A_POSTING = 2


async def load(settings: Settings, postings_a_member: int) -> int:
    """Fill an installation with the past of all members; returns how many movements it has then."""
    script = read_sql("services.cli", "load_past")
    connection = await asyncpg.connect(settings.database)
    try:
        await connection.execute("CREATE TEMPORARY TABLE members (shard integer, member_id text, place integer)")
        places = dict.fromkeys(range(SHARDS), 0)
        rows = []
        for number in range(MEMBERS):
            member_id = f"member-{number}"
            shard = shard_of(member_id, SHARDS)
            places[shard] += 1
            rows.append((shard, member_id, places[shard]))
        await connection.copy_records_to_table("members", records=sorted(rows))
        await connection.execute("SELECT set_config('bench.postings', $1, false)", str(postings_a_member))
        await connection.execute(script, timeout=3600)
        # Else the server would do it while we measure, for rows that no ledger gets at once.
        await connection.execute("VACUUM (FREEZE, ANALYZE)", timeout=3600)
        await connection.execute("CHECKPOINT", timeout=600)
        heads = await connection.fetch("SELECT shard, pos FROM shard_heads")
    finally:
        await connection.close()
    await _say_published(settings, {row["shard"]: row["pos"] for row in heads})
    return MEMBERS * postings_a_member * MOVEMENTS_A_POSTING


async def _say_published(settings: Settings, heads: dict[int, int]) -> None:
    """The past is published already: the publisher goes on behind it."""
    producer = AIOKafkaProducer(bootstrap_servers=settings.kafka, acks="all")
    await producer.start()
    try:
        for share in range(SHARES):
            positions = {str(shard): pos for shard, pos in heads.items() if shard % SHARES == share}
            await producer.send_and_wait(
                settings.topic(PUBLISHED), orjson.dumps(positions), key=b"%d" % share, partition=share
            )
    finally:
        await producer.stop()
