-- Which of some members have an accepted order.
SELECT b.member_id
FROM unnest($1::int[], $2::text[]) AS b (shard, member_id)
WHERE EXISTS (SELECT FROM orders AS o WHERE o.shard = b.shard AND o.member_id = b.member_id)
