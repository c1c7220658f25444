-- Points of a wallet that will have expired by some instants, unless they are spent before.
SELECT i.until, coalesce(sum(l.remaining), 0)::bigint AS points, count(DISTINCT l.member_id) AS members
FROM unnest($2::timestamptz[]) AS i (until)
LEFT JOIN lots AS l ON l.wallet = $1 AND l.remaining > 0 AND l.expires_at <= i.until
GROUP BY i.until
ORDER BY i.until
