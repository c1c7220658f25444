-- A member's orders that were paid last, newest first.
SELECT order_id
FROM orders
WHERE shard = $1 AND member_id = $2
ORDER BY occurred_at DESC, order_id
LIMIT $3
