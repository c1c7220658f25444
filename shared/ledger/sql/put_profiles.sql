-- Keep what is known of some members from now on.
INSERT INTO profiles AS p (shard, member_id, version, profile)
SELECT * FROM unnest($1::int[], $2::text[], $3::bigint[], $4::json[])
ON CONFLICT (shard, member_id) DO UPDATE SET version = excluded.version, profile = excluded.profile
