-- Who invited some members, and what was given for it; those whom nobody invited are left out.
SELECT r.member_id, r.inviter_id, r.invited_at, r.rule_id, r.program_version, r.first_paid_at, r.first_order_id,
       r.counted_paid_at, r.counted_order_id, r.inviter_points, r.inviter_lot, r.invited_points, r.invited_lot
FROM unnest($1::int[], $2::text[]) AS b (shard, member_id)
JOIN referrals AS r USING (shard, member_id)
