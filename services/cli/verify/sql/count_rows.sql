-- How much there is to compare; in a slice, of the members that were posted to behind the position.
WITH members AS (SELECT DISTINCT shard, member_id FROM postings WHERE $1::bigint > 0 AND pos > $1)
SELECT (SELECT count(*) FROM accounts WHERE $1 = 0 OR (shard, member_id) IN (SELECT * FROM members)) AS accounts,
       (SELECT count(*) FROM movements WHERE pos > $1) AS movements,
       (SELECT count(*) FROM lots WHERE $1 = 0 OR (shard, member_id) IN (SELECT * FROM members)) AS lots,
       (SELECT count(*) FROM debts) AS debts
