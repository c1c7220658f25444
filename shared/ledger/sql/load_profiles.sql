-- Who some members were, each from an instant on: the newest version that was so by then, and all that came later.
SELECT b.member_id, p.*
FROM unnest($1::int[], $2::text[], $3::timestamptz[]) AS b (shard, member_id, at)
CROSS JOIN LATERAL (
  (
    SELECT version, since, profile
    FROM profiles
    WHERE profiles.shard = b.shard AND profiles.member_id = b.member_id AND profiles.since <= b.at
    ORDER BY profiles.version DESC
    LIMIT 1
  )
  UNION ALL
  SELECT version, since, profile
  FROM profiles
  WHERE profiles.shard = b.shard AND profiles.member_id = b.member_id AND profiles.since > b.at
) AS p
