-- How many refunds there were, and how many of them came before their order.
SELECT count(*) AS refunds, count(*) FILTER (WHERE outcome = 'waiting_for_order') AS before_order FROM refunds
