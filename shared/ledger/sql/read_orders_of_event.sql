-- The orders of a member of which an event told: it paid them, or gave something of them back.
SELECT order_id FROM postings
WHERE shard = $1 AND member_id = $2 AND source = $3 AND event_id = $4 AND order_id IS NOT NULL
UNION
SELECT order_id FROM refunds
WHERE shard = $1 AND member_id = $2 AND source = $3 AND event_id = $4
