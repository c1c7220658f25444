-- The next adjustments of an import that gave points, behind a shard and an event id, in the order of these.
SELECT shard, event_id, member_id, wallet, moved, lot_id
FROM adjustments
WHERE import_id = $1 AND points > 0 AND source = $2 AND (shard, event_id) > ($3, $4)
ORDER BY shard, event_id
LIMIT $5
