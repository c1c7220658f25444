-- The movements of ranges of the journal, in the journal's order.
SELECT m.shard, m.pos, m.wallet, m.from_bucket, m.to_bucket, m.amount, m.rule_id, m.lot_id, m.order_id
FROM unnest($1::int[], $2::bigint[], $3::bigint[]) AS c (shard, after, last)
CROSS JOIN LATERAL (
  SELECT * FROM movements
  WHERE movements.shard = c.shard AND movements.pos > c.after AND movements.pos <= c.last
  ORDER BY movements.pos, movements.seq
) AS m
