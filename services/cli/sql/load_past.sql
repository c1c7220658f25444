-- A past for the bench: each of `members` (shard, member_id, place: its number within the shard) gets as many orders as
-- `bench.postings` says, one a day, each worth 100 points and 100 growth. Written in the order of each table's key.
CREATE TEMPORARY TABLE past AS
SELECT m.shard, m.member_id, m.place, k,
       count(*) OVER (PARTITION BY m.shard, k) * (k - 1) + m.place AS pos,
       now() - interval '400 days' + k * interval '1 day' AS at,
       'past-' || m.member_id || '-' || k AS order_id
FROM members AS m, generate_series(1, current_setting('bench.postings')::integer) AS k;

INSERT INTO accounts (shard, member_id, version, settled_to, next_due_at, lots_issued, balances)
SELECT shard, member_id, max(k), max(at), min(at) + interval '3 years', max(k),
       format('{"points":{"issued":-%1$s,"available":%1$s},"growth":{"issued":-%1$s,"available":%1$s}}', 100 * max(k))::json
FROM past GROUP BY shard, member_id ORDER BY shard, member_id;

INSERT INTO lots (shard, member_id, lot_id, wallet, order_id, issued, remaining, activates_at, expires_at)
SELECT shard, member_id, k, 'points', order_id, 100, 100, NULL, at + interval '3 years'
FROM past ORDER BY shard, member_id, k;

INSERT INTO orders (shard, member_id, order_id, occurred_at, currency, paid, program_version, lines)
SELECT shard, member_id, order_id, at, 'USD', 10000, 1,
       format('{"line_id":["1","2","3"],"category":["GROCERY","DELI","MEAT"],"quantity":[1,1,1],"paid":[5000,3000,2000],
         "base":[5000,3000,2000],"points":{"base":[50,30,20],"growth":[50,30,20]},"lots":[%s]}', k)::json
FROM past ORDER BY shard, member_id, order_id;

INSERT INTO consumed_events (shard, source, event_id, event_type, member_id, digest, outcome)
SELECT shard, '/bench', order_id, 'pointstream.order-paid.v1', member_id, decode(md5(order_id), 'hex'), 'posted'
FROM past ORDER BY shard, order_id;

INSERT INTO postings (shard, pos, member_id, version, kind, source, event_id, event_type, order_id, program_version,
                      occurred_at, effective_at, balances, next_due_at)
SELECT shard, pos, member_id, k, 'accrual', '/bench', order_id, 'pointstream.order-paid.v1', order_id, 1, at, at,
       format('{"points":{"issued":-%1$s,"available":%1$s},"growth":{"issued":-%1$s,"available":%1$s}}', 100 * k)::json,
       at - (k - 1) * interval '1 day' + interval '3 years'
FROM past ORDER BY shard, pos;

INSERT INTO movements (shard, pos, seq, wallet, from_bucket, to_bucket, amount, rule_id, lot_id, order_id)
SELECT shard, pos, seq, wallet, 'issued', 'available', 100, rule_id, CASE seq WHEN 1 THEN k END, order_id
FROM past, (VALUES (1, 'points', 'base'), (2, 'growth', 'growth')) AS m (seq, wallet, rule_id)
ORDER BY shard, pos, seq;

INSERT INTO shard_heads (shard, pos) SELECT shard, max(pos) FROM past GROUP BY shard
ON CONFLICT (shard) DO UPDATE SET pos = excluded.pos;

DROP TABLE past;
