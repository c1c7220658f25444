-- What is left in the lots, by wallet and whether it is pending.
SELECT wallet, CASE WHEN activates_at IS NULL THEN 'available' ELSE 'pending' END AS bucket,
       sum(remaining)::bigint AS points
FROM lots
WHERE remaining > 0
GROUP BY 1, 2
