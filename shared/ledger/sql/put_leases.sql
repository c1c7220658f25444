-- What some leases have left from now on.
INSERT INTO budget_leases AS l (budget_id, per, period, lease_id, unused)
SELECT * FROM unnest($1::text[], $2::text[], $3::date[], $4::uuid[], $5::bigint[])
ON CONFLICT (budget_id, per, period, lease_id) DO UPDATE SET unused = excluded.unused
