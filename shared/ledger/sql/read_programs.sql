-- Every version of the program, oldest first.
SELECT version, document, effective_from, registered_at FROM programs ORDER BY version
