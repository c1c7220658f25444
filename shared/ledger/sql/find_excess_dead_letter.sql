-- The first letter of a batch that is one too many in its partition: after $4 others in a row, or beyond $5 among the last
-- $6 messages. Offsets count as messages. Replays do not count, nor what somebody accepted.
WITH batch AS (
  SELECT topic, partition, min("offset") AS first
  FROM unnest($1::text[], $2::int[], $3::bigint[]) AS b (topic, partition, "offset")
  GROUP BY topic, partition
), recent AS (
  SELECT b.topic, b.partition, b.first, l."offset"
  FROM batch AS b
  JOIN dead_letters AS l USING (topic, partition)
  WHERE l."offset" > b.first - greatest($4::bigint + 1, $6::bigint)
    AND l.origin_letter_id IS NULL
    AND l."offset" >= coalesce((
      SELECT max(a.until_offset) FROM dead_letter_acceptances AS a
      WHERE a.topic = b.topic AND a.partition = b.partition
    ), 0)
), runs AS (
  SELECT topic, partition, first, "offset",
         "offset" - row_number() OVER (PARTITION BY topic, partition ORDER BY "offset") AS run,
         count(*) OVER (
           PARTITION BY topic, partition ORDER BY "offset" RANGE BETWEEN $6::bigint - 1 PRECEDING AND CURRENT ROW
         ) AS of_last
  FROM recent
), counted AS (
  SELECT *, row_number() OVER (PARTITION BY topic, partition, run ORDER BY "offset") AS in_a_row FROM runs
)
SELECT topic, partition, "offset", in_a_row, of_last
FROM counted
WHERE "offset" >= first AND (in_a_row > $4::bigint OR of_last > $5::bigint)
ORDER BY topic, partition, "offset"
LIMIT 1
