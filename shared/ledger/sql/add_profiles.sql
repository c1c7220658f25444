-- Keep who some members are, each from an instant on.
INSERT INTO profiles (shard, member_id, version, since, profile)
SELECT * FROM unnest($1::int[], $2::text[], $3::bigint[], $4::timestamptz[], $5::json[])
