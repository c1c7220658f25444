-- Record what an operator wants to give or take. Gives nothing where the id is known.
INSERT INTO adjustment_proposals (adjustment_id, member_id, wallet, points, expires_at, reverses_source, reverses_event_id,
  actor, role, reason, proposed_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
ON CONFLICT DO NOTHING
RETURNING adjustment_id
