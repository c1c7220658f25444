-- Count the points in circulation on, each shard by at most so many postings. Positions have no gaps and are in commit
-- order, so what stands up to a head is complete. A shard that another worker counts just now is left to it. Returns for
-- each shard that was counted whether the journal goes on.
WITH due AS (
  SELECT c.shard, c.pos AS after, least(h.pos, c.pos + $1) AS last, h.pos AS head
  FROM circulation_positions AS c
  JOIN shard_heads AS h USING (shard)
  WHERE h.pos > c.pos
  ORDER BY c.shard
  FOR UPDATE OF c SKIP LOCKED
), moved AS MATERIALIZED (
  SELECT d.shard, m.*
  FROM due AS d
  CROSS JOIN LATERAL (
    SELECT wallet, from_bucket, to_bucket, sum(amount) AS amount
    FROM movements
    WHERE movements.shard = d.shard AND movements.pos > d.after AND movements.pos <= d.last
    GROUP BY wallet, from_bucket, to_bucket
  ) AS m
), counted AS (
  INSERT INTO circulation AS t (shard, wallet, bucket, points)
  SELECT m.shard, m.wallet, side.bucket, sum(side.points)
  FROM moved AS m
  CROSS JOIN LATERAL (VALUES (m.from_bucket, -m.amount), (m.to_bucket, m.amount)) AS side (bucket, points)
  GROUP BY m.shard, m.wallet, side.bucket
  ON CONFLICT (shard, wallet, bucket) DO UPDATE SET points = t.points + excluded.points
)
UPDATE circulation_positions AS c
SET pos = d.last
FROM due AS d
WHERE c.shard = d.shard
RETURNING d.head > d.last AS goes_on
