-- Of members from whom points may be taken: all lots in which something is left, and some others by their number, of which
-- points may have ended unspent.
SELECT b.member_id, l.*
FROM unnest($1::int[], $2::text[]) AS b (shard, member_id)
CROSS JOIN LATERAL (
  SELECT lot_id, wallet, order_id, issued, remaining, activates_at, expires_at, expired, waits_for
  FROM lots
  WHERE lots.shard = b.shard AND lots.member_id = b.member_id AND lots.remaining > 0
) AS l
UNION ALL
SELECT member_id, lot_id, wallet, order_id, issued, remaining, activates_at, expires_at, expired, waits_for
FROM unnest($3::int[], $4::text[], $5::int[]) AS o (shard, member_id, lot_id)
JOIN lots USING (shard, member_id, lot_id)
WHERE lots.remaining = 0
