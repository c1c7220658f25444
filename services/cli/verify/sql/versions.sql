-- Each posting of some shards behind a position against the one before it of the same member, and each member's last one
-- against the account: versions are 1, 2, 3 … in the order of positions, and the account says what its last posting says.
WITH journal AS (
  SELECT shard, member_id, pos, version, balances, next_due_at, lag(version) OVER of_member AS before,
         CASE WHEN lead(pos) OVER of_member IS NULL THEN member_id END AS last_of
  FROM postings
  WHERE shard = ANY ($1::int[]) AND pos > $2
  WINDOW of_member AS (PARTITION BY shard, member_id ORDER BY pos)
),
found AS (
  SELECT coalesce(j.shard, a.shard) AS shard, coalesce(j.member_id, a.member_id) AS member_id, j.pos, j.version,
         a.version AS account_version, b.before, coalesce(a.balances::text, '') AS balances,
         coalesce(j.balances::text, '') AS posting_balances,
         CASE
           WHEN j.version <> coalesce(b.before, 0) + 1 THEN 'version_gap'
           WHEN j.member_id IS NULL THEN 'account_without_posting'
           WHEN j.last_of IS NULL THEN NULL
           WHEN a.member_id IS NULL THEN 'posting_without_account'
           WHEN a.version <> j.version THEN 'account_version'
           WHEN a.balances::jsonb <> j.balances::jsonb THEN 'account_balances'
           WHEN a.next_due_at IS DISTINCT FROM j.next_due_at THEN 'account_due'
         END AS problem
  FROM journal AS j
  FULL JOIN (SELECT * FROM accounts WHERE shard = ANY ($1::int[])) AS a
    ON a.shard = j.shard AND a.member_id = j.last_of
  -- The first posting of a slice follows one that lies before the slice.
  CROSS JOIN LATERAL (
    SELECT coalesce(j.before, CASE WHEN j.version > 1 THEN (
      SELECT q.version FROM postings AS q
      WHERE q.shard = j.shard AND q.member_id = j.member_id AND q.version = j.version - 1 AND q.pos <= $2
    ) END) AS before
  ) AS b
)
SELECT *, count(*) OVER () AS found
FROM found
WHERE problem IS NOT NULL AND ($2::bigint = 0 OR problem <> 'account_without_posting')
ORDER BY shard, pos, member_id
LIMIT $3
