-- Some tallies of some members; one that was never written is zero, and left out.
SELECT t.member_id, t.name, t.period, t.value
FROM unnest($1::int[], $2::text[], $3::text[], $4::date[]) AS b (shard, member_id, name, period)
JOIN tallies AS t USING (shard, member_id, name, period)
