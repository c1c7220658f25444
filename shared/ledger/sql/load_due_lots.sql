-- Of accounts with something due: the lots that fall due by an instant, and of the others the one that is due next.
SELECT b.member_id, l.*
FROM unnest($1::int[], $2::text[], $3::timestamptz[]) AS b (shard, member_id, until)
CROSS JOIN LATERAL (
  SELECT lot_id, wallet, order_id, issued, remaining, activates_at, expires_at, expired, waits_for
  FROM lots
  WHERE lots.shard = b.shard AND lots.member_id = b.member_id AND lots.remaining > 0 AND lots.due_at <= b.until
  UNION ALL (
    SELECT lot_id, wallet, order_id, issued, remaining, activates_at, expires_at, expired, waits_for
    FROM lots
    WHERE lots.shard = b.shard AND lots.member_id = b.member_id AND lots.remaining > 0 AND lots.due_at > b.until
    ORDER BY lots.due_at
    LIMIT 1
  )
) AS l
