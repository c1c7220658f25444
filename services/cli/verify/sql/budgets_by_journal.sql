-- How many units of budgets the journal used: what was issued, less what was taken back and not written off. What a program
-- version pays is in $1 to $7, each with its cost and time. Budgets that begin anew are summed by quarters of an hour, since
-- all zones' days begin with one.
WITH pays AS (
  SELECT *
  FROM unnest($1::int[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::timestamptz[], $7::timestamptz[])
    AS b (program_version, rule_id, budget_id, per, cost, begins_at, ends_at)
),
used AS (
  SELECT b.budget_id, b.per, b.begins_at, b.ends_at,
         CASE WHEN m.from_bucket = 'issued' THEN m.amount ELSE - m.amount END * b.cost::numeric AS units,
         coalesce(o.occurred_at, p.occurred_at) AS happened_at
  FROM movements AS m
  JOIN postings AS p USING (shard, pos)
  JOIN pays AS b ON b.program_version = p.program_version AND b.rule_id = split_part(m.rule_id, '/', 1)
  LEFT JOIN orders AS o
    ON m.to_bucket = 'clawed_back' AND o.shard = p.shard AND o.member_id = p.member_id AND o.order_id = p.order_id
  WHERE m.from_bucket = 'issued' OR (m.to_bucket = 'clawed_back' AND m.from_bucket <> 'written_off')
)
SELECT budget_id, per,
       CASE WHEN per IN ('day', 'week', 'month') THEN date_bin('15 minutes', happened_at, '2000-01-01T00:00:00Z')
            WHEN per = 'campaign' THEN begins_at
       END AS at,
       sum(units) AS units
FROM used
WHERE happened_at >= begins_at AND happened_at < ends_at
GROUP BY 1, 2, 3
