-- Carry the accounts of a batch forward; their rows are locked already.
UPDATE accounts AS a
SET version = b.version, settled_to = b.settled_to, next_due_at = b.next_due_at, lots_issued = b.lots_issued,
    balances = b.balances
FROM unnest($1::int[], $2::text[], $3::bigint[], $4::timestamptz[], $5::timestamptz[], $6::int[], $7::json[])
  AS b (shard, member_id, version, settled_to, next_due_at, lots_issued, balances)
WHERE a.shard = b.shard AND a.member_id = b.member_id
