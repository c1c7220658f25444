-- The accounts of some members, without a lock.
SELECT a.shard, a.member_id, a.version, a.settled_to, a.next_due_at, a.lots_issued, a.balances
FROM unnest($1::int[], $2::text[]) AS b (shard, member_id)
JOIN accounts AS a USING (shard, member_id)
