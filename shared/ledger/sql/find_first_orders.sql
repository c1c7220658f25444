-- The order of some members that was paid first, of several at one instant the one whose id comes first.
SELECT b.member_id, o.order_id
FROM unnest($1::int[], $2::text[]) AS b (shard, member_id)
CROSS JOIN LATERAL (
  SELECT order_id FROM orders
  WHERE orders.shard = b.shard AND orders.member_id = b.member_id
  ORDER BY occurred_at, order_id COLLATE "C"
  LIMIT 1
) AS o
