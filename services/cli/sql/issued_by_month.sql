-- Points of a wallet that orders earned, by local month and category of their lines, as they are frozen on the lines.
SELECT to_char(o.occurred_at AT TIME ZONE $1, 'YYYY-MM') AS month,
       coalesce(l.category, 'UNKNOWN') AS category,
       sum(p.points::bigint)::bigint AS points
FROM orders AS o
CROSS JOIN LATERAL json_to_recordset(o.lines) AS l (category text, points json)
CROSS JOIN LATERAL json_each_text(l.points) AS p (rule_id, points)
WHERE p.rule_id = ANY ($2::text[])
GROUP BY 1, 2
ORDER BY 1, 2
