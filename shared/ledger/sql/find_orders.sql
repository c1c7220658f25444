-- Which orders of a batch have been paid before.
SELECT o.member_id, o.order_id
FROM unnest($1::int[], $2::text[], $3::text[]) AS b (shard, member_id, order_id)
JOIN orders AS o USING (shard, member_id, order_id)
