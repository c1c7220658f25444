-- Carry forward the lots from which a batch took, or that became active or ended.
UPDATE lots AS l
SET remaining = b.remaining, activates_at = b.activates_at, expires_at = b.expires_at, expired = b.expired
FROM unnest($1::int[], $2::text[], $3::int[], $4::bigint[], $5::timestamptz[], $6::timestamptz[], $7::bigint[])
  AS b (shard, member_id, lot_id, remaining, activates_at, expires_at, expired)
WHERE l.shard = b.shard AND l.member_id = b.member_id AND l.lot_id = b.lot_id
