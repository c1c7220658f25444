-- Points of a wallet that rules gave orders, before caps, budgets and refunds, by local month and category of their lines, as they are
-- frozen on the lines.
SELECT to_char(o.occurred_at AT TIME ZONE $1, 'YYYY-MM') AS month,
       coalesce(l.category, 'UNKNOWN') AS category,
       sum(l.points::bigint)::bigint AS points
FROM orders AS o
CROSS JOIN LATERAL json_each(o.lines -> 'points') AS r (rule_id, points)
CROSS JOIN LATERAL ROWS FROM (
  json_array_elements_text(o.lines -> 'category'),
  json_array_elements_text(r.points)
) AS l (category, points)
WHERE r.rule_id = ANY ($2::text[])
GROUP BY 1, 2
ORDER BY 1, 2
