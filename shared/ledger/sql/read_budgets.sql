-- What was leased of some budgets, and what leases have left of it.
SELECT b.n, coalesce(w.leased, 0) AS leased,
  (SELECT coalesce(sum(l.unused), 0)::bigint
   FROM budget_leases AS l
   WHERE l.budget_id = b.budget_id AND l.per = b.per AND l.period = b.period) AS unused
FROM unnest($1::text[], $2::text[], $3::date[]) WITH ORDINALITY AS b (budget_id, per, period, n)
LEFT JOIN budgets AS w USING (budget_id, per, period)
ORDER BY b.n
