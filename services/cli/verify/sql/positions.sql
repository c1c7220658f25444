-- The journal of each shard behind a position: how many postings, the first and the last, and what the shard's head says.
SELECT shard, h.pos AS head, coalesce(p.postings, 0) AS postings, p.first, p.last
FROM (
  SELECT shard, count(*) AS postings, min(pos) AS first, max(pos) AS last
  FROM postings
  WHERE shard = ANY ($1::int[]) AND pos > $2
  GROUP BY shard
) AS p
FULL JOIN (SELECT shard, pos FROM shard_heads WHERE shard = ANY ($1::int[])) AS h USING (shard)
ORDER BY shard
