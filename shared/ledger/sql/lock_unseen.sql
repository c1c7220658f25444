-- Members that nobody has seen have no account to lock. Of those, whoever refunds something has a shard `alone` until its
-- transaction ends, and others share it: an order that is posted meanwhile would not see the refund, nor the refund the
-- order. The shards come in one order for all workers.
SELECT CASE WHEN alone THEN pg_advisory_xact_lock(1, shard) ELSE pg_advisory_xact_lock_shared(1, shard) END
FROM unnest($1::int[], $2::bool[]) AS b (shard, alone)
