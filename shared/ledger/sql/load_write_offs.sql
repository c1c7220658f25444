-- What was let go of what some members owed, and can be made good still, oldest first.
SELECT w.member_id, w.wallet, w.order_id, w.version, w.amount
FROM unnest($1::int[], $2::text[]) AS b (shard, member_id)
JOIN write_offs AS w USING (shard, member_id)
WHERE w.amount > 0
ORDER BY w.shard, w.member_id, w.version, w.wallet
