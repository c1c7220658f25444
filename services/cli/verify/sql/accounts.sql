-- The accounts with their versions; in a slice, those that were posted to behind the position.
SELECT shard, member_id, version
FROM accounts
WHERE $1::bigint = 0 OR (shard, member_id) IN (SELECT shard, member_id FROM postings WHERE pos > $1)
