-- Keep tallies as they are from now on.
INSERT INTO tallies AS t (shard, member_id, name, period, value)
SELECT * FROM unnest($1::int[], $2::text[], $3::text[], $4::date[], $5::bigint[])
ON CONFLICT (shard, member_id, name, period) DO UPDATE SET value = excluded.value
