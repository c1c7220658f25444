-- The role that owns an installation's database and runs its migrations. It may make the other roles, and has no right to
-- any other database. It belongs to the whole server, so another installation may have made it.
DO $$
BEGIN
  CREATE ROLE pointstream_migrator NOLOGIN CREATEROLE;
EXCEPTION WHEN duplicate_object OR unique_violation THEN
  IF NOT (SELECT rolcreaterole FROM pg_roles WHERE rolname = 'pointstream_migrator') THEN
    ALTER ROLE pointstream_migrator CREATEROLE;
  END IF;
END
$$
