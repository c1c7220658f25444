-- Keep everybody else of this database from setting an installation up until the session ends; waits where somebody does.
SELECT pg_advisory_lock(hashtextextended('pointstream sets up', 0))
