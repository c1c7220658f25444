-- Imports with what is known of their being taken back, newest first: one by its id, or all.
SELECT i.import_id, i.wallet, i.actor, i.reason, i.file_name, i.begun_at, r.actor AS reverted_by,
       r.reason AS revert_reason, r.begun_at AS reverted_at
FROM imports AS i
LEFT JOIN import_reverts AS r USING (import_id)
WHERE $1::text IS NULL OR i.import_id = $1
ORDER BY i.begun_at DESC, i.import_id
LIMIT $2
