-- Record that an import begins. Gives nothing where the id is known.
INSERT INTO imports (import_id, wallet, actor, reason, file_name, begun_at) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT DO NOTHING
