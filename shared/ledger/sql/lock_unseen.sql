-- Members that nobody has seen have no account to lock. Where something of theirs is kept that others must not miss, such as
-- a refund that waits for its order, a batch has their shard `alone` until its transaction ends; others share it. The
-- shards come in one order for all workers.
SELECT CASE WHEN alone THEN pg_advisory_xact_lock(1, shard) ELSE pg_advisory_xact_lock_shared(1, shard) END
FROM unnest($1::int[], $2::bool[]) AS b (shard, alone)
