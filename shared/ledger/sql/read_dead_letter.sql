-- A dead letter: as it came, as it is after its last edit, and what became of it.
SELECT l.*, s.state, s.action_no, s.replayed_source, s.replayed_event_id, s.sent_partition, s.sent_offset, s.outcome,
       s.counted_at, s.returned_as, e.message_value AS edited_value, e.headers AS edited_headers
FROM dead_letters AS l
JOIN dead_letter_states AS s USING (letter_id)
LEFT JOIN LATERAL (
  SELECT a.message_value, a.headers FROM dead_letter_actions AS a
  WHERE a.letter_id = l.letter_id AND a.action = 'edit'
  ORDER BY a.action_no DESC
  LIMIT 1
) AS e ON true
WHERE l.letter_id = $1
