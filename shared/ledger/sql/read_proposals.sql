-- Proposals with their decisions, newest first: one by its id, all, or those that wait for a decision.
SELECT p.adjustment_id, p.member_id, p.wallet, p.points, p.expires_at, p.reverses_source, p.reverses_event_id, p.actor,
       p.role, p.reason, p.proposed_at,
       d.decision, d.actor AS decided_by, d.why, d.decided_at
FROM adjustment_proposals AS p
LEFT JOIN adjustment_decisions AS d USING (adjustment_id)
WHERE ($1::text IS NULL OR p.adjustment_id = $1) AND (NOT $2 OR d.decision IS NULL)
ORDER BY p.proposed_at DESC, p.adjustment_id
LIMIT $3
