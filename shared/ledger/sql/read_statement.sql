-- A page of a member's postings, newest first, before a version.
SELECT shard, pos, member_id, version, kind, source, event_id, event_type, order_id,
       program_version, occurred_at, effective_at, recorded_at, balances, next_due_at
FROM postings
WHERE shard = $1 AND member_id = $2 AND version < $3
ORDER BY version DESC
LIMIT $4
