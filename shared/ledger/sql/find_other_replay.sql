-- Whether anything of the message that a letter goes back to was replayed as another event than ($2, $3), and did not
-- come back: then it has counted as that one, or still may.
WITH RECURSIVE up AS (
  SELECT letter_id, origin_letter_id FROM dead_letters WHERE letter_id = $1
  UNION ALL
  SELECT l.letter_id, l.origin_letter_id FROM dead_letters AS l JOIN up ON l.letter_id = up.origin_letter_id
), family AS (
  SELECT letter_id FROM up WHERE origin_letter_id IS NULL
  UNION ALL
  SELECT l.letter_id FROM dead_letters AS l JOIN family AS f ON l.origin_letter_id = f.letter_id
)
SELECT s.letter_id, s.replayed_source, s.replayed_event_id
FROM family
JOIN dead_letter_states AS s USING (letter_id)
WHERE s.state IN ('sending', 'sent', 'counted') AND (s.replayed_source, s.replayed_event_id) <> ($2, $3)
ORDER BY s.letter_id
LIMIT 1
