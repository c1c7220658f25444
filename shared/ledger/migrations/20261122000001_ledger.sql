-- migrate:up

-- Who may do what. The roles cannot log in: a deployment grants them to its users, and every process takes the one
-- it needs when it connects. Roles belong to the whole server, so another database may have made them already.
DO $$
DECLARE
  name text;
BEGIN
  FOREACH name IN ARRAY ARRAY['pointstream_migrator', 'pointstream_writer', 'pointstream_publisher', 'pointstream_reader']
  LOOP
    BEGIN
      EXECUTE format('CREATE ROLE %I NOLOGIN', name);
    EXCEPTION WHEN duplicate_object OR unique_violation THEN
      NULL;
    END;
  END LOOP;
END
$$;

GRANT USAGE ON SCHEMA public TO pointstream_migrator, pointstream_writer, pointstream_publisher, pointstream_reader;
GRANT CREATE ON SCHEMA public TO pointstream_migrator;

-- What was fixed when the installation was made. `replay_now` is the clock of a replay; a live one has none.
CREATE TABLE installation (
  only_row      boolean PRIMARY KEY DEFAULT true CHECK (only_row),
  name          text NOT NULL,
  shards        integer NOT NULL CHECK (shards BETWEEN 1 AND 4096),
  clock         text NOT NULL CHECK (clock IN ('live', 'replay')),
  replay_now    timestamptz,
  CHECK ((clock = 'replay') OR (replay_now IS NULL))
);

-- Every version of the program that ever decided an event, as it was written.
CREATE TABLE programs (
  version        integer PRIMARY KEY,
  effective_from timestamptz NOT NULL,
  document       text NOT NULL,
  registered_at  timestamptz NOT NULL DEFAULT now()
);

-- The last position of each shard. Taken last, just before the journal is written, so positions are gapless and in
-- commit order.
CREATE TABLE shard_heads (
  shard integer PRIMARY KEY,
  pos   bigint NOT NULL DEFAULT 0 CHECK (pos >= 0)
) WITH (fillfactor = 10);

-- One row a member: its version, what it is settled to, when something falls due next, and its balances by wallet
-- and bucket. The room left in each page keeps updates within it.
CREATE TABLE accounts (
  shard       integer NOT NULL,
  member_id   text NOT NULL,
  version     bigint NOT NULL CHECK (version > 0),
  settled_to  timestamptz NOT NULL,
  next_due_at timestamptz,
  lots_issued integer NOT NULL CHECK (lots_issued >= 0),
  balances    jsonb NOT NULL,
  PRIMARY KEY (shard, member_id)
) WITH (fillfactor = 70);

CREATE INDEX accounts_due ON accounts (shard, next_due_at) WHERE next_due_at IS NOT NULL;

-- Points that were issued together and fall due together. `due_at` is the next instant at which something happens to
-- the lot by itself: it becomes active, or expires.
CREATE TABLE lots (
  shard        integer NOT NULL,
  member_id    text NOT NULL,
  lot_id       integer NOT NULL CHECK (lot_id > 0),
  wallet       text NOT NULL,
  order_id     text,
  issued       bigint NOT NULL CHECK (issued > 0),
  remaining    bigint NOT NULL CHECK (remaining >= 0 AND remaining <= issued),
  activates_at timestamptz,
  expires_at   timestamptz,
  due_at       timestamptz GENERATED ALWAYS AS (
    CASE WHEN remaining > 0 THEN coalesce(activates_at, expires_at) END
  ) STORED,
  PRIMARY KEY (shard, member_id, lot_id)
) WITH (fillfactor = 90);

-- Only what may still fall due: the index stays as small as the open lots are, however long the history is.
CREATE INDEX lots_due ON lots (shard, member_id, due_at) WHERE due_at IS NOT NULL;

-- Points that a member owes for an order.
CREATE TABLE debts (
  shard     integer NOT NULL,
  member_id text NOT NULL,
  debt_no   integer NOT NULL,
  wallet    text NOT NULL,
  order_id  text NOT NULL,
  amount    bigint NOT NULL CHECK (amount > 0),
  PRIMARY KEY (shard, member_id, debt_no)
);

-- An accepted order, with the points that each rule gave frozen on its lines. What is written once and read as a whole
-- is json, which PostgreSQL keeps as the text it got; jsonb costs it three times as much.
CREATE TABLE orders (
  shard           integer NOT NULL,
  member_id       text NOT NULL,
  order_id        text NOT NULL,
  occurred_at     timestamptz NOT NULL,
  currency        text NOT NULL,
  paid            bigint NOT NULL,
  program_version integer NOT NULL,
  lines           json NOT NULL,
  PRIMARY KEY (shard, member_id, order_id)
);

-- Each consumed event with its one outcome. Here `shard` is that of the event's id, not of its member: the same id with
-- another member in it must meet its first use (docs/adr/0003).
CREATE TABLE consumed_events (
  shard       integer NOT NULL,
  source      text NOT NULL,
  event_id    text NOT NULL,
  event_type  text NOT NULL,
  member_id   text NOT NULL,
  digest      bytea NOT NULL,
  outcome     text NOT NULL,
  recorded_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (shard, source, event_id)
);

-- The journal: what one event, or one due instant, did to one account.
CREATE TABLE postings (
  shard           integer NOT NULL,
  pos             bigint NOT NULL CHECK (pos > 0),
  member_id       text NOT NULL,
  version         bigint NOT NULL CHECK (version > 0),
  kind            text NOT NULL,
  source          text,
  event_id        text,
  event_type      text,
  order_id        text,
  program_version integer NOT NULL,
  occurred_at     timestamptz NOT NULL,
  effective_at    timestamptz NOT NULL,
  recorded_at     timestamptz NOT NULL DEFAULT now(),
  balances        json NOT NULL,
  next_due_at     timestamptz,
  PRIMARY KEY (shard, pos),
  CHECK ((source IS NULL) = (event_id IS NULL) AND (source IS NULL) = (event_type IS NULL))
);

-- A member's statement, and the proof that versions have no repeat.
CREATE UNIQUE INDEX postings_of_member ON postings (shard, member_id, version);

-- What a posting moved: from one bucket of a wallet to another. One row is double entry by construction.
CREATE TABLE movements (
  shard       integer NOT NULL,
  pos         bigint NOT NULL,
  seq         smallint NOT NULL,
  wallet      text NOT NULL,
  from_bucket text NOT NULL,
  to_bucket   text NOT NULL,
  amount      bigint NOT NULL CHECK (amount > 0),
  rule_id     text,
  lot_id      integer,
  order_id    text,
  PRIMARY KEY (shard, pos, seq),
  CHECK (from_bucket <> to_bucket)
);

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'the journal is append-only: % on % is refused; post a correction instead', TG_OP, TG_TABLE_NAME
    USING ERRCODE = 'restrict_violation';
END
$$;

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON postings
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON movements
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- How far each group has read each partition. `generation` counts the owners of the partition: a transaction of an
-- older one is refused. `arrived_at` is the arrival of the last event before `next_offset`.
CREATE TABLE consumer_offsets (
  consumer_group text NOT NULL,
  topic          text NOT NULL,
  partition      integer NOT NULL,
  next_offset    bigint NOT NULL DEFAULT 0,
  generation     bigint NOT NULL DEFAULT 0,
  arrived_at     timestamptz,
  PRIMARY KEY (consumer_group, topic, partition)
) WITH (fillfactor = 10);

-- Messages that could not be read, as they came. Header values are in hexadecimal: they may be any bytes, or null.
CREATE TABLE dead_letters (
  letter_id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  topic          text NOT NULL,
  partition      integer NOT NULL,
  "offset"       bigint NOT NULL,
  arrived_at     timestamptz NOT NULL,
  message_key    bytea,
  message_value  bytea,
  headers        json NOT NULL,
  defect         text NOT NULL,
  path           text NOT NULL,
  reason         text NOT NULL,
  source         text,
  event_id       text,
  recorded_at    timestamptz NOT NULL DEFAULT now(),
  UNIQUE (topic, partition, "offset")
);

-- Writers add and carry forward; nobody may change or remove what was recorded.
GRANT SELECT ON ALL TABLES IN SCHEMA public TO pointstream_writer, pointstream_reader;
GRANT INSERT ON accounts, lots, debts, orders, consumed_events, postings, movements, consumer_offsets, dead_letters,
  programs, shard_heads, installation TO pointstream_writer;
GRANT UPDATE ON accounts, lots, shard_heads, consumer_offsets, installation TO pointstream_writer;
GRANT DELETE ON debts TO pointstream_writer;
GRANT SELECT ON installation, postings, movements, shard_heads TO pointstream_publisher;

-- migrate:down

DROP TABLE dead_letters, consumer_offsets, movements, postings, consumed_events, orders, debts, lots, accounts,
  shard_heads, programs, installation;
DROP FUNCTION refuse_change();
