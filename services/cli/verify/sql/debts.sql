-- What members owe for orders against the debt of their balances, by member and wallet.
SELECT 'debt' AS problem, shard, member_id, wallet, coalesce(d.owed, 0) AS owed, coalesce(b.debt, 0) AS debt,
       count(*) OVER () AS found
FROM (SELECT shard, member_id, wallet, sum(amount) AS owed FROM debts GROUP BY shard, member_id, wallet) AS d
FULL JOIN (
  SELECT a.shard, a.member_id, w.wallet, -(w.buckets ->> 'debt')::bigint AS debt
  FROM accounts AS a
  CROSS JOIN LATERAL jsonb_each(a.balances::jsonb) AS w (wallet, buckets)
  WHERE w.buckets ? 'debt'
) AS b USING (shard, member_id, wallet)
WHERE coalesce(d.owed, 0) <> coalesce(b.debt, 0)
ORDER BY shard, member_id, wallet
LIMIT $1
