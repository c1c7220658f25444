-- Which event an appeal reverses (null for what is none), and which appeal has reversed an event. `$1` is the shard of the
-- event's id, `$2` that of its member.
SELECT a.reverses_source, a.reverses_event_id, r.by_source, r.by_event_id
FROM (SELECT $3::text AS member_id, $4::text AS source, $5::text AS event_id) AS e
LEFT JOIN adjustments AS a ON a.shard = $1 AND a.source = e.source AND a.event_id = e.event_id
LEFT JOIN reversed_events AS r
  ON r.shard = $2 AND r.member_id = e.member_id AND r.source = e.source AND r.event_id = e.event_id
