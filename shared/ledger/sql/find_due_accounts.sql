-- Accounts of a shard in which something is due by an instant, the longest due first.
SELECT member_id
FROM accounts
WHERE shard = $1 AND next_due_at <= $2
ORDER BY next_due_at
LIMIT $3
