-- The first position of a shard behind $2 that no posting has, up to the position $3.
SELECT coalesce(
  (
    SELECT before + 1
    FROM (SELECT pos, lag(pos, 1, $2::bigint) OVER (ORDER BY pos) AS before FROM postings WHERE shard = $1 AND pos > $2) AS p
    WHERE pos <> before + 1
    ORDER BY pos
    LIMIT 1
  ),
  (SELECT max(pos) + 1 FROM postings WHERE shard = $1 AND pos > $2 HAVING max(pos) < $3::bigint),
  $2::bigint + 1
)
