-- What follows from an event, in whoever's account.
SELECT shard, pos, member_id, version, kind, source, event_id, event_type, order_id, program_version, occurred_at,
       effective_at, recorded_at, balances, next_due_at
FROM postings
WHERE source = $1 AND event_id = $2 AND follows
ORDER BY member_id
