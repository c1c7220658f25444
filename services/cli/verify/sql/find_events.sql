-- Events of which the journal and the outcomes do not say the same; those of the outcomes $3 have a posting. In a slice, those that the journal names behind the
-- position.
WITH posted AS (
  SELECT source, event_id, min(shard) AS shard, min(pos) AS pos, min(member_id) AS member_id, count(*) AS postings
  FROM postings
  WHERE event_id IS NOT NULL AND NOT follows AND pos > $1
  GROUP BY source, event_id
),
found AS (
  SELECT coalesce(p.source, e.source) AS source, coalesce(p.event_id, e.event_id) AS event_id, p.shard, p.pos,
         coalesce(p.member_id, e.member_id) AS member_id, p.postings, e.outcome, e.member_id AS consumed_member_id,
         CASE
           WHEN p.event_id IS NULL AND e.outcome = ANY ($3::text[]) THEN 'posted_without_posting'
           WHEN p.event_id IS NULL THEN NULL
           WHEN e.event_id IS NULL THEN 'posting_without_event'
           WHEN e.outcome <> ALL ($3::text[]) THEN 'refused_with_posting'
           WHEN p.postings > 1 THEN 'posted_twice'
           WHEN p.member_id <> e.member_id THEN 'posted_to_another'
         END AS problem
  FROM posted AS p
  FULL JOIN consumed_events AS e ON e.source = p.source AND e.event_id = p.event_id
  WHERE $1::bigint = 0 OR p.event_id IS NOT NULL
)
SELECT *, count(*) OVER () AS found
FROM found
WHERE problem IS NOT NULL
ORDER BY shard, pos, source, event_id
LIMIT $2
