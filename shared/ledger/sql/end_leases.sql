-- Some leases of budgets are over.
DELETE FROM budget_leases AS l
USING unnest($1::text[], $2::text[], $3::date[], $4::uuid[]) AS b (budget_id, per, period, lease_id)
WHERE l.budget_id = b.budget_id AND l.per = b.per AND l.period = b.period AND l.lease_id = b.lease_id
