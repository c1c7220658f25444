-- Every posting that moved something for an order, or out of one of its lots, oldest first.
SELECT p.shard, p.pos, p.member_id, p.version, p.kind, p.source, p.event_id, p.event_type, p.order_id,
       p.program_version, p.occurred_at, p.effective_at, p.recorded_at, p.balances, p.next_due_at
FROM postings AS p
WHERE p.shard = $1 AND p.member_id = $2
  AND EXISTS (
    SELECT FROM movements AS m
    WHERE m.shard = p.shard AND m.pos = p.pos AND (m.order_id = $3 OR m.lot_id = ANY ($4::int[]))
  )
ORDER BY p.version
