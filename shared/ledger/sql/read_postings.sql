-- The journal of some shards from a position on, at most so many postings of each.
SELECT p.shard, p.pos, p.member_id, p.version, p.kind, p.source, p.event_id, p.event_type, p.order_id,
       p.program_version, p.occurred_at, p.effective_at, p.recorded_at, p.balances, p.next_due_at
FROM unnest($1::int[], $2::bigint[]) AS c (shard, after)
CROSS JOIN LATERAL (
  SELECT * FROM postings WHERE postings.shard = c.shard AND postings.pos > c.after ORDER BY postings.pos LIMIT $3
) AS p
