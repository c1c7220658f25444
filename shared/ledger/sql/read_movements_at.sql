-- What some postings of one shard moved, in the journal's order.
SELECT pos, wallet, from_bucket, to_bucket, amount, rule_id, lot_id, order_id
FROM movements
WHERE shard = $1 AND pos = ANY ($2::bigint[])
ORDER BY pos, seq
