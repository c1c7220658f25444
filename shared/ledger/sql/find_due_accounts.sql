-- Accounts in which something is due by an instant: of each shard the longest due, at most so many.
SELECT a.member_id
FROM unnest($1::int[]) AS s (shard)
CROSS JOIN LATERAL (
  SELECT member_id
  FROM accounts
  WHERE accounts.shard = s.shard AND accounts.next_due_at <= $2
  ORDER BY accounts.next_due_at
  LIMIT $3
) AS a
