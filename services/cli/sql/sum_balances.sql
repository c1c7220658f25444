-- What the accounts' balances come to, by wallet and bucket.
SELECT w.wallet, b.bucket, sum(b.points::bigint)::bigint AS points
FROM accounts AS a
CROSS JOIN LATERAL json_each(a.balances) AS w (wallet, buckets)
CROSS JOIN LATERAL json_each_text(w.buckets) AS b (bucket, points)
GROUP BY w.wallet, b.bucket
