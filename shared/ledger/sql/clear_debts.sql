-- Forget what these members owed; the batch writes what they still owe.
DELETE FROM debts AS d
USING unnest($1::int[], $2::text[]) AS b (shard, member_id)
WHERE d.shard = b.shard AND d.member_id = b.member_id
