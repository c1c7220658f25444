-- Points of a wallet that refunds took back, by the bucket they were in; those of other orders' lots are other_lots.
SELECT CASE
         WHEN m.from_bucket = 'available' AND l.order_id IS DISTINCT FROM m.order_id THEN 'other_lots'
         ELSE m.from_bucket
       END AS source,
       sum(m.amount)::bigint AS points
FROM movements AS m
JOIN postings AS p ON p.shard = m.shard AND p.pos = m.pos
LEFT JOIN lots AS l ON l.shard = m.shard AND l.member_id = p.member_id AND l.lot_id = m.lot_id
WHERE m.to_bucket = 'clawed_back' AND m.wallet = $1
GROUP BY 1
ORDER BY 1
