-- Keep messages as they came. One that is read again, from the same log, is kept already. The letter that a message
-- claims to be a replay of counts only where somebody did replay it.
INSERT INTO dead_letters (topic, partition, "offset", arrived_at, message_key, message_value, headers, defect, path,
                          reason, source, event_id, origin_letter_id)
SELECT b.topic, b.partition, b."offset", b.arrived_at, b.message_key, b.message_value, b.headers, b.defect, b.path,
       b.reason, b.source, b.event_id,
       (SELECT a.letter_id FROM dead_letter_actions AS a WHERE a.letter_id = b.origin AND a.action = 'replay' LIMIT 1)
FROM unnest($1::text[], $2::int[], $3::bigint[], $4::timestamptz[], $5::bytea[], $6::bytea[], $7::json[], $8::text[],
            $9::text[], $10::text[], $11::text[], $12::text[], $13::bigint[])
  AS b (topic, partition, "offset", arrived_at, message_key, message_value, headers, defect, path, reason, source,
        event_id, origin)
ORDER BY b.topic, b.partition, b."offset"
ON CONFLICT (topic, partition, "offset", arrived_at) DO NOTHING
