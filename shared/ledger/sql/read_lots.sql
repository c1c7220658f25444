-- Some lots of a member, also those in which nothing is left.
SELECT member_id, lot_id, wallet, order_id, issued, remaining, activates_at, expires_at, expired, waits_for
FROM lots
WHERE shard = $1 AND member_id = $2 AND lot_id = ANY ($3::int[])
ORDER BY lot_id
