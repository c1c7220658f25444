-- The points of all accounts by wallet, in some buckets, as far as they are counted.
SELECT wallet, bucket, sum(points)::bigint AS points
FROM circulation
WHERE bucket = ANY ($1::text[])
GROUP BY wallet, bucket
