-- Of some shards: how many postings stand behind a position, and when the first of them was written. Fewer than none: the
-- ledger ends before it.
SELECT c.shard, coalesce(h.pos, 0) - c.after AS postings, p.recorded_at
FROM unnest($1::int[], $2::bigint[]) AS c (shard, after)
LEFT JOIN shard_heads AS h USING (shard)
LEFT JOIN postings AS p ON p.shard = c.shard AND p.pos = c.after + 1
