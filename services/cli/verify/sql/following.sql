-- What follows from events behind a position, but from none that was consumed, or twice in one account.
WITH following AS (
  SELECT source, event_id, shard, member_id, min(pos) AS pos, count(*) AS postings
  FROM postings
  WHERE follows AND pos > $1
  GROUP BY source, event_id, shard, member_id
),
found AS (
  SELECT f.*,
         CASE
           WHEN e.event_id IS NULL THEN 'following_without_event'
           WHEN f.postings > 1 THEN 'followed_twice'
         END AS problem
  FROM following AS f
  LEFT JOIN consumed_events AS e ON e.source = f.source AND e.event_id = f.event_id
)
SELECT *, count(*) OVER () AS found
FROM found
WHERE problem IS NOT NULL
ORDER BY shard, pos
LIMIT $2
