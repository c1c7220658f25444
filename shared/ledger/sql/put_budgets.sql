-- What is leased of some budgets from now on.
UPDATE budgets AS b SET leased = w.leased
FROM unnest($1::text[], $2::text[], $3::date[], $4::bigint[]) AS w (budget_id, per, period, leased)
WHERE b.budget_id = w.budget_id AND b.per = w.per AND b.period = w.period
