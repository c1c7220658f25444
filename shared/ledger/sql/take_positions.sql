-- The next positions of the batch's shards: the head rows are locked in order, and stay so until the commit, so that
-- positions are gapless and in commit order. Returns the last position of each shard.
WITH locked AS (
  SELECT shard FROM shard_heads WHERE shard = ANY ($1::int[]) ORDER BY shard FOR UPDATE
)
UPDATE shard_heads AS h
SET pos = h.pos + b.postings
FROM unnest($1::int[], $2::bigint[]) AS b (shard, postings)
JOIN locked USING (shard)
WHERE h.shard = b.shard
RETURNING h.shard, h.pos
