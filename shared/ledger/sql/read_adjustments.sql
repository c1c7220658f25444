-- Those of some adjustments that were decided: what they came to, and the digest of what they said.
SELECT a.source, a.event_id, a.member_id, a.points, a.moved, a.lot_id, e.outcome, e.digest
FROM unnest($1::int[], $2::text[], $3::text[]) AS b (shard, source, event_id)
JOIN adjustments AS a USING (shard, source, event_id)
JOIN consumed_events AS e USING (shard, source, event_id)
