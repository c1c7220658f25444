-- Give an import back.
SELECT pg_advisory_unlock(hashtextextended('import ' || $1, 0))
