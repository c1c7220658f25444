-- Days of streaks, each from a first one on.
SELECT d.member_id, d.streak, d.day, d.length, d.given, d.program_version
FROM unnest($1::int[], $2::text[], $3::text[], $4::date[]) AS b (shard, member_id, streak, first_day)
JOIN streak_days AS d ON d.shard = b.shard AND d.member_id = b.member_id AND d.streak = b.streak AND d.day >= b.first_day
