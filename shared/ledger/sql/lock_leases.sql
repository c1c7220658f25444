-- Of each budget the fullest lease that no other batch has, locked until the end of the transaction. There is none where all
-- are taken.
SELECT b.n, l.lease_id, l.unused
FROM unnest($1::text[], $2::text[], $3::date[]) WITH ORDINALITY AS b (budget_id, per, period, n)
CROSS JOIN LATERAL (
  SELECT x.lease_id, x.unused
  FROM budget_leases AS x
  WHERE x.budget_id = b.budget_id AND x.per = b.per AND x.period = b.period
  ORDER BY x.unused DESC
  LIMIT 1
  FOR UPDATE SKIP LOCKED
) AS l
