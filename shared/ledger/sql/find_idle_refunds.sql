-- Refunds that count nothing, oldest first: those whose order has not come, and those that do not fit theirs. A refund
-- that waited and then did not fit still has its first outcome; whether it fits is seen again.
SELECT r.member_id, r.order_id, r.arrived_at, r.source, r.event_id, r.outcome, r.parts,
       o.order_id IS NOT NULL AS has_order
FROM refunds AS r
LEFT JOIN orders AS o USING (shard, member_id, order_id)
WHERE r.outcome IN ('waiting_for_order', 'refund_does_not_fit')
  AND r.arrived_at <= $1
  AND ($2::text IS NULL OR r.parts ->> 'reason' = $2)
  AND (
    o.order_id IS NULL
    OR r.outcome = 'refund_does_not_fit'
    OR o.currency <> r.parts ->> 'currency'
    OR EXISTS (
      SELECT FROM json_array_elements(r.parts -> 'lines') AS given
      WHERE given ->> 0 NOT IN (SELECT json_array_elements_text(o.lines -> 'line_id'))
    )
  )
ORDER BY r.arrived_at, r.shard, r.member_id, r.order_id, r.refund_no
LIMIT $3
