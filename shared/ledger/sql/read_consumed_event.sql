-- What became of an event.
SELECT source, event_id, event_type, member_id, outcome, recorded_at
FROM consumed_events
WHERE shard = $1 AND source = $2 AND event_id = $3
