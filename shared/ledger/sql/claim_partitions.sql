-- Become the owner of partitions: each gets a new generation, which fences all older ones. Returns where to read on.
INSERT INTO consumer_offsets AS o (consumer_group, topic, partition, generation)
SELECT $1, c.topic, c.partition, 1
FROM unnest($2::text[], $3::int[]) AS c (topic, partition)
ORDER BY c.topic, c.partition
ON CONFLICT (consumer_group, topic, partition) DO UPDATE SET generation = o.generation + 1
RETURNING topic, partition, next_offset, generation
