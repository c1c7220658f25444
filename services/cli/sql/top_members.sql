-- The members with the most points of a wallet ever issued.
SELECT member_id,
       -(balances -> $1 ->> 'issued')::bigint AS issued,
       coalesce((balances -> $1 ->> 'available')::bigint, 0) AS available,
       coalesce((balances -> $1 ->> 'pending')::bigint, 0) AS pending,
       coalesce((balances -> $1 ->> 'expired')::bigint, 0) AS expired
FROM accounts
WHERE balances -> $1 IS NOT NULL
ORDER BY issued DESC, member_id
LIMIT $2
