-- All leases of some budgets, locked until the end of the transaction. The batches that have them finish first.
SELECT b.n, l.lease_id, l.unused
FROM unnest($1::text[], $2::text[], $3::date[]) WITH ORDINALITY AS b (budget_id, per, period, n)
JOIN budget_leases AS l USING (budget_id, per, period)
ORDER BY b.n, l.lease_id
FOR UPDATE OF l
