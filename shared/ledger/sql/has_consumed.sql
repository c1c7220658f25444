-- Whether any event was decided yet.
SELECT EXISTS (SELECT FROM consumed_events)
