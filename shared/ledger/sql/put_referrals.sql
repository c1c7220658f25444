-- Keep referrals as they are from now on.
INSERT INTO referrals AS r (shard, member_id, inviter_id, invited_at, rule_id, program_version, first_paid_at,
  first_order_id, counted_paid_at, counted_order_id, inviter_points, inviter_lot, invited_points, invited_lot)
SELECT * FROM unnest($1::int[], $2::text[], $3::text[], $4::timestamptz[], $5::text[], $6::int[], $7::timestamptz[],
  $8::text[], $9::timestamptz[], $10::text[], $11::bigint[], $12::int[], $13::bigint[], $14::int[])
ON CONFLICT (shard, member_id) DO UPDATE
SET inviter_id = excluded.inviter_id, invited_at = excluded.invited_at, rule_id = excluded.rule_id,
    program_version = excluded.program_version, first_paid_at = excluded.first_paid_at,
    first_order_id = excluded.first_order_id, counted_paid_at = excluded.counted_paid_at,
    counted_order_id = excluded.counted_order_id, inviter_points = excluded.inviter_points,
    inviter_lot = excluded.inviter_lot, invited_points = excluded.invited_points, invited_lot = excluded.invited_lot
