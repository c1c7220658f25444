-- All budgets of which something was ever leased: what was, and what leases have left of it.
SELECT b.budget_id, b.per, b.period, b.leased, coalesce(sum(l.unused), 0)::bigint AS unused
FROM budgets AS b
LEFT JOIN budget_leases AS l USING (budget_id, per, period)
GROUP BY b.budget_id, b.per, b.period, b.leased
ORDER BY b.budget_id, b.per, b.period
