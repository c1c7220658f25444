-- Keep what a batch let go, and how much of what was let go before it made good.
INSERT INTO write_offs (shard, member_id, version, wallet, order_id, amount)
SELECT * FROM unnest($1::int[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::bigint[])
ON CONFLICT (shard, member_id, version, wallet) DO UPDATE SET amount = excluded.amount
