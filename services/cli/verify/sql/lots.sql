-- What is left in the lots of some shards, and what of them ended, against the balances, by member and wallet, and the
-- first instant at which one falls due against the account's. A counter ($4) keeps lots only of what will fall due, so what
-- it has available is not compared. In a slice, of the members that were posted to behind the position.
WITH members AS (
  SELECT shard, member_id, next_due_at, balances
  FROM accounts
  WHERE shard = ANY ($1::int[])
    AND ($2::bigint = 0
         OR (shard, member_id) IN (SELECT shard, member_id FROM postings WHERE shard = ANY ($1::int[]) AND pos > $2))
),
held AS (
  SELECT shard, member_id, wallet, min(due_at) AS due_at,
         coalesce(sum(remaining) FILTER (WHERE activates_at IS NULL), 0) AS available,
         coalesce(sum(remaining) FILTER (WHERE activates_at IS NOT NULL), 0) AS pending,
         coalesce(sum(expired), 0) AS expired
  FROM lots
  WHERE shard = ANY ($1::int[]) AND (remaining <> 0 OR expired <> 0)
    AND ($2::bigint = 0
         OR (shard, member_id) IN (SELECT shard, member_id FROM postings WHERE shard = ANY ($1::int[]) AND pos > $2))
  GROUP BY shard, member_id, wallet
),
balances AS (
  SELECT a.shard, a.member_id, w.wallet, coalesce((w.buckets ->> 'available')::bigint, 0) AS available,
         coalesce((w.buckets ->> 'pending')::bigint, 0) AS pending,
         coalesce((w.buckets ->> 'expired')::bigint, 0) AS expired
  FROM members AS a
  CROSS JOIN LATERAL jsonb_each(a.balances::jsonb) AS w (wallet, buckets)
),
compared AS (
  SELECT shard, member_id, wallet, coalesce(l.available, 0) AS lots_available, coalesce(l.pending, 0) AS lots_pending,
         coalesce(b.available, 0) AS available, coalesce(b.pending, 0) AS pending,
         coalesce(l.expired, 0) AS lots_expired, coalesce(b.expired, 0) AS expired
  FROM held AS l
  FULL JOIN balances AS b USING (shard, member_id, wallet)
),
found AS (
  SELECT 'lots_available' AS problem, shard, member_id, wallet, lots_available AS held, available AS balance
  FROM compared
  WHERE lots_available <> available AND wallet <> ALL ($4::text[])
  UNION ALL
  SELECT 'lots_pending', shard, member_id, wallet, lots_pending, pending FROM compared WHERE lots_pending <> pending
  UNION ALL
  SELECT 'lots_expired', shard, member_id, wallet, lots_expired, expired FROM compared WHERE lots_expired <> expired
  UNION ALL
  SELECT 'lots_due', shard, member_id, NULL, 0, 0
  FROM members
  LEFT JOIN (SELECT shard, member_id, min(due_at) AS due_at FROM held GROUP BY shard, member_id) AS first
    USING (shard, member_id)
  WHERE members.next_due_at IS DISTINCT FROM first.due_at
)
SELECT *, count(*) OVER () AS found
FROM found
ORDER BY shard, member_id, wallet
LIMIT $3
