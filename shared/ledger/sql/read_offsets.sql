-- How far each group has read each partition of some topics, and when the last event before that arrived.
SELECT topic, partition, next_offset, arrived_at
FROM consumer_offsets
WHERE (consumer_group, topic) IN (SELECT * FROM unnest($1::text[], $2::text[]))
