-- Keep days of streaks as they are from now on.
INSERT INTO streak_days AS d (shard, member_id, streak, day, length, given, program_version)
SELECT * FROM unnest($1::int[], $2::text[], $3::text[], $4::date[], $5::int[], $6::bigint[], $7::int[])
ON CONFLICT (shard, member_id, streak, day) DO UPDATE SET length = excluded.length, given = excluded.given
