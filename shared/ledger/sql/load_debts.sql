-- What the members of a batch owe, oldest first.
SELECT d.member_id, d.wallet, d.order_id, d.amount, d.version
FROM unnest($1::int[], $2::text[]) AS b (shard, member_id)
JOIN debts AS d USING (shard, member_id)
ORDER BY d.shard, d.member_id, d.debt_no
