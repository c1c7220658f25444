-- The consumed events of each outcome: how many, and a sum of hashes that stands for which (source, id, member) they are.
SELECT outcome, count(*) AS events,
       sum(hashtextextended(event_id, hashtextextended(source, hashtextextended(member_id, 0)))) AS fingerprint
FROM consumed_events
GROUP BY outcome
