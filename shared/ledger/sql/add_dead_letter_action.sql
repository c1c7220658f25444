-- Record what somebody did with a dead letter, behind the last action that they knew of.
INSERT INTO dead_letter_actions (letter_id, action_no, action, actor, why, message_value, headers, event_shard, source,
                                 event_id, digest, sent_partition, sent_offset)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
