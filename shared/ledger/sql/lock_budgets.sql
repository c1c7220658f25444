-- Some budgets, locked until the end of the transaction; they come in one order for all workers.
INSERT INTO budgets AS b (budget_id, per, period)
SELECT * FROM unnest($1::text[], $2::text[], $3::date[])
ON CONFLICT (budget_id, per, period) DO UPDATE SET leased = b.leased
