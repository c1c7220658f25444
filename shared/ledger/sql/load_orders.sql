-- What is known of the orders of a batch: as they were rated, if they were paid, and the refunds of each, oldest first.
-- Orders of which nothing is known are left out. The lines are read only where the batch refunds something.
SELECT b.member_id, b.order_id, o.order_id IS NOT NULL AS paid, o.occurred_at, o.currency, o.paid AS amount_paid,
       o.program_version, CASE WHEN b.refunded THEN o.lines END AS lines, r.refunds
FROM unnest($1::int[], $2::text[], $3::text[], $4::bool[]) AS b (shard, member_id, order_id, refunded)
LEFT JOIN orders AS o USING (shard, member_id, order_id)
LEFT JOIN LATERAL (
  SELECT json_agg(parts ORDER BY refund_no) AS refunds
  FROM refunds
  WHERE refunds.shard = b.shard AND refunds.member_id = b.member_id AND refunds.order_id = b.order_id
) AS r ON true
WHERE o.order_id IS NOT NULL OR r.refunds IS NOT NULL
