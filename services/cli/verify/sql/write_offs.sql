-- What was written off and not made good since, against the balances, by member and wallet.
SELECT 'write_off' AS problem, shard, member_id, wallet, coalesce(w.open, 0) AS open, coalesce(b.written_off, 0) AS written_off,
       count(*) OVER () AS found
FROM (SELECT shard, member_id, wallet, sum(amount) AS open FROM write_offs GROUP BY shard, member_id, wallet) AS w
FULL JOIN (
  SELECT a.shard, a.member_id, w.wallet, -(w.buckets ->> 'written_off')::bigint AS written_off
  FROM accounts AS a
  CROSS JOIN LATERAL jsonb_each(a.balances::jsonb) AS w (wallet, buckets)
  WHERE w.buckets ? 'written_off'
) AS b USING (shard, member_id, wallet)
WHERE coalesce(w.open, 0) <> coalesce(b.written_off, 0)
ORDER BY shard, member_id, wallet
LIMIT $1
