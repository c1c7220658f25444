-- Dead letters by where they came from, what is wrong, when they were kept, what became of them and which event they
-- are, oldest first. Without what the messages say.
SELECT l.letter_id, l.topic, l.partition, l."offset", l.arrived_at, l.recorded_at, l.defect, l.path, l.reason,
       coalesce(s.replayed_source, l.source) AS source, coalesce(s.replayed_event_id, l.event_id) AS event_id,
       l.origin_letter_id, s.state, s.outcome, s.returned_as
FROM dead_letters AS l
JOIN dead_letter_states AS s USING (letter_id)
WHERE ($1::text IS NULL OR l.topic = $1)
  AND ($2::text IS NULL OR l.defect = $2)
  AND ($3::timestamptz IS NULL OR l.recorded_at >= $3)
  AND ($4::timestamptz IS NULL OR l.recorded_at < $4)
  AND s.state = ANY ($5::text[])
  AND ($6::text IS NULL OR $6 IN (l.event_id, s.replayed_event_id))
ORDER BY l.letter_id
LIMIT $7
