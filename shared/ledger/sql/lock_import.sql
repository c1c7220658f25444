-- Keep everybody else from an import until the session ends or gives it back; false where somebody has it.
SELECT pg_try_advisory_lock(hashtextextended('import ' || $1, 0))
