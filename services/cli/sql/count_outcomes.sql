-- How many events came to what.
SELECT outcome, count(*) AS events FROM consumed_events GROUP BY outcome ORDER BY events DESC
