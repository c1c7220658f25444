-- The refunds of an order, as they came.
SELECT member_id, order_id, refund_no, arrived_at, source, event_id, outcome, parts, recorded_at
FROM refunds
WHERE shard = $1 AND member_id = $2 AND order_id = $3
ORDER BY refund_no
