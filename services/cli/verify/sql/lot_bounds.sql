-- Lots that hold less than nothing, or more than was ever issued into them.
SELECT 'lot_bounds' AS problem, shard, member_id, lot_id, wallet, remaining, issued, count(*) OVER () AS found
FROM lots
WHERE remaining < 0 OR remaining > issued
ORDER BY shard, member_id, lot_id
LIMIT $1
