-- What is known of some members.
SELECT p.member_id, p.version, p.profile
FROM unnest($1::int[], $2::text[]) AS b (shard, member_id)
JOIN profiles AS p USING (shard, member_id)
