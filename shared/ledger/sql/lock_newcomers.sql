-- Shards in which a batch has members without an account yet: there is no row of theirs to lock. What is known of them,
-- such as refunds that wait for their order, must be read and written by one transaction at a time. Returns nothing that
-- matters. The first number tells these locks from all others.
SELECT pg_advisory_xact_lock(1886351988, shard) FROM unnest($1::int[]) AS s (shard) ORDER BY shard
