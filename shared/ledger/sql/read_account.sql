-- A member's account, and the last position of its shard: the account has all that was posted up to there.
SELECT shard, member_id, version, settled_to, next_due_at, lots_issued, balances,
       (SELECT pos FROM shard_heads WHERE shard_heads.shard = accounts.shard) AS head
FROM accounts
WHERE shard = $1 AND member_id = $2
