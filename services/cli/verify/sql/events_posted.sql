-- The events that the journal names behind a position, but for what only follows from them: how many, and the same sum of
-- hashes as of the consumed ones.
SELECT count(*) AS events,
       sum(hashtextextended(event_id, hashtextextended(source, hashtextextended(member_id, 0)))) AS fingerprint
FROM postings
WHERE event_id IS NOT NULL AND NOT follows AND pos > $1
