-- End the transactions of writers that have sent nothing of a COPY for so many milliseconds. PostgreSQL's own timeouts end
-- every other silence, but none of them a COPY that waits for its rows. Returns whether each could be ended.
SELECT pg_terminate_backend(pid)
FROM pg_stat_activity
WHERE datname = current_database()
  AND application_name = $1
  AND state = 'active'
  AND wait_event = 'ClientRead'
  AND clock_timestamp() - query_start > $2 * interval '1 millisecond'
