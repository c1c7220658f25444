-- What the events took that the appeals of a batch are to reverse, as penalties or for operators, in the journal's order, and
-- whether that was reversed before; nothing for events that are not known. A member's postings are looked through: appeals
-- are few.
SELECT b.member_id, b.source, b.event_id, e.member_id <> b.member_id AS of_another, r.event_id IS NOT NULL AS reversed,
       m.version, m.wallet, m.from_bucket, m.to_bucket, m.amount, m.rule_id, m.lot_id, m.order_id
FROM unnest($1::int[], $2::text[], $3::int[], $4::text[], $5::text[]) AS b (shard, member_id, event_shard, source, event_id)
JOIN consumed_events AS e ON e.shard = b.event_shard AND e.source = b.source AND e.event_id = b.event_id
LEFT JOIN reversed_events AS r
  ON r.shard = b.shard AND r.member_id = b.member_id AND r.source = b.source AND r.event_id = b.event_id
LEFT JOIN LATERAL (
  SELECT p.version, m.*
  FROM postings AS p
  JOIN movements AS m USING (shard, pos)
  WHERE p.shard = b.shard AND p.member_id = b.member_id AND p.source = b.source AND p.event_id = b.event_id
    AND m.to_bucket IN ('penalty', 'adjusted')
) AS m ON true
ORDER BY b.member_id, b.source, b.event_id, m.version, m.seq
