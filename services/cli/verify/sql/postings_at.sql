-- The postings that gave some members a version.
SELECT p.member_id, p.balances, p.next_due_at
FROM unnest($1::int[], $2::text[], $3::bigint[]) AS b (shard, member_id, version)
JOIN postings AS p USING (shard, member_id, version)
