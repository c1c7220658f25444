-- How many refunds there were, of how many orders, and how many of them came before their order.
SELECT count(*) AS refunds,
       count(DISTINCT (shard, member_id, order_id)) AS orders,
       count(*) FILTER (WHERE outcome = 'waiting_for_order') AS before_order
FROM refunds
