-- What people did with a dead letter, in order.
SELECT action_no, action, actor, why, recorded_at, source, event_id, sent_partition, sent_offset
FROM dead_letter_actions
WHERE letter_id = $1
ORDER BY action_no
