-- The accounts of a batch, locked in one order for all workers, so that two batches wait for each other and never
-- deadlock.
SELECT a.shard, a.member_id, a.version, a.settled_to, a.next_due_at, a.lots_issued, a.balances
FROM unnest($1::int[], $2::text[]) AS b (shard, member_id)
JOIN accounts AS a USING (shard, member_id)
ORDER BY a.shard, a.member_id
FOR UPDATE OF a
