-- Move the offsets of a batch's partitions on, as their owner of this generation. Returns a row for each partition that
-- is still owned; fewer rows than partitions mean that another worker has taken one over.
UPDATE consumer_offsets AS o
SET next_offset = b.next_offset, arrived_at = greatest(o.arrived_at, b.arrived_at)
FROM unnest($2::text[], $3::int[], $4::bigint[], $5::bigint[], $6::timestamptz[])
  AS b (topic, partition, next_offset, generation, arrived_at)
WHERE o.consumer_group = $1 AND o.topic = b.topic AND o.partition = b.partition AND o.generation = b.generation
  AND o.next_offset <= b.next_offset
RETURNING o.topic, o.partition
