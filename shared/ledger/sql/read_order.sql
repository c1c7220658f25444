-- An order as it was rated.
SELECT member_id, order_id, occurred_at, currency, paid AS amount_paid, program_version, lines
FROM orders
WHERE shard = $1 AND member_id = $2 AND order_id = $3
