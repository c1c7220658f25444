-- Which events of a batch were consumed before, with the digest of what they said then.
SELECT e.source, e.event_id, e.digest
FROM unnest($1::int[], $2::text[], $3::text[]) AS b (shard, source, event_id)
JOIN consumed_events AS e USING (shard, source, event_id)
