-- A member's account, with the lots that are open and due by an instant.
SELECT shard, member_id, version, settled_to, next_due_at, lots_issued, balances
FROM accounts
WHERE shard = $1 AND member_id = $2
