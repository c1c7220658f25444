-- Record the decision on a proposal. Gives nothing where there is one already.
INSERT INTO adjustment_decisions (adjustment_id, proposer, decision, actor, role, why, decided_at)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT DO NOTHING
RETURNING adjustment_id
