-- Record that an import is taken back from now on. Gives nothing where it is already.
INSERT INTO import_reverts (import_id, actor, reason, begun_at) VALUES ($1, $2, $3, $4)
ON CONFLICT DO NOTHING
