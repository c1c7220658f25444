-- What the movements of some shards behind a position come to, against the balances of the accounts, by member, wallet and
-- bucket. A slice starts from the balances that its members had before it. Movements without a posting have no member;
-- a posting without movements has no wallet.
WITH moved AS (
  SELECT shard, p.member_id, m.wallet, m.from_bucket, m.to_bucket,
         sum(m.amount) AS points, min(pos) AS pos, min(p.version) AS first
  FROM (SELECT shard, pos, member_id, version FROM postings WHERE shard = ANY ($1::int[]) AND pos > $2) AS p
  FULL JOIN (
    SELECT shard, pos, wallet, from_bucket, to_bucket, amount FROM movements WHERE shard = ANY ($1::int[]) AND pos > $2
  ) AS m USING (shard, pos)
  GROUP BY shard, p.member_id, m.wallet, m.from_bucket, m.to_bucket
),
opening AS (
  SELECT f.shard, f.member_id, w.wallet, b.bucket, b.points::bigint AS points
  FROM (
    SELECT shard, member_id, min(first) AS first FROM moved WHERE member_id IS NOT NULL GROUP BY shard, member_id
  ) AS f
  CROSS JOIN LATERAL (
    SELECT balances FROM postings AS q
    WHERE q.shard = f.shard AND q.member_id = f.member_id AND q.version = f.first - 1
  ) AS before
  CROSS JOIN LATERAL json_each(before.balances) AS w (wallet, buckets)
  CROSS JOIN LATERAL json_each_text(w.buckets) AS b (bucket, points)
  WHERE f.first > 1
),
sums AS (
  SELECT shard, member_id, wallet, bucket, sum(points) AS points
  FROM (
    SELECT shard, member_id, wallet, bucket, points FROM opening
    UNION ALL
    SELECT shard, member_id, wallet, to_bucket, points FROM moved WHERE member_id IS NOT NULL AND wallet IS NOT NULL
    UNION ALL
    SELECT shard, member_id, wallet, from_bucket, -points FROM moved WHERE member_id IS NOT NULL AND wallet IS NOT NULL
  ) AS entries
  GROUP BY shard, member_id, wallet, bucket
),
balances AS (
  SELECT a.shard, a.member_id, w.wallet, b.bucket, b.points::bigint AS points
  FROM accounts AS a
  CROSS JOIN LATERAL jsonb_each(a.balances::jsonb) AS w (wallet, buckets)
  CROSS JOIN LATERAL jsonb_each_text(w.buckets) AS b (bucket, points)
  WHERE a.shard = ANY ($1::int[])
    AND ($2::bigint = 0 OR (a.shard, a.member_id) IN (SELECT shard, member_id FROM moved))
),
found AS (
  SELECT 'balance' AS problem, shard, member_id, NULL::bigint AS pos, wallet, bucket,
         coalesce(sums.points, 0) AS moved, coalesce(balances.points, 0) AS balance
  FROM sums
  FULL JOIN balances USING (shard, member_id, wallet, bucket)
  WHERE coalesce(sums.points, 0) <> coalesce(balances.points, 0)
  UNION ALL
  SELECT 'movement_without_posting', shard, NULL, pos, wallet, to_bucket, points, 0 FROM moved WHERE member_id IS NULL
  UNION ALL
  SELECT 'posting_without_movement', shard, member_id, pos, NULL, NULL, 0, 0 FROM moved WHERE wallet IS NULL
)
SELECT *, count(*) OVER () AS found
FROM found
ORDER BY shard, member_id, pos, wallet, bucket
LIMIT $3
