-- Accept what stands in partitions up to an offset: its letters count towards no limit.
INSERT INTO dead_letter_acceptances (topic, partition, until_offset, actor, why)
SELECT $1, b.partition, b.until_offset, $4, $5
FROM unnest($2::int[], $3::bigint[]) AS b (partition, until_offset)
