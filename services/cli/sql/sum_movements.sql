-- What the journal's movements come to, by wallet and bucket.
SELECT wallet, bucket, sum(amount)::bigint AS points
FROM (
  SELECT wallet, to_bucket AS bucket, amount FROM movements
  UNION ALL
  SELECT wallet, from_bucket, -amount FROM movements
) AS entries
GROUP BY wallet, bucket
