-- migrate:up

-- Who may do what. The roles cannot log in: a deployment grants them to its users, and every process takes the one
-- it needs when it connects. Roles belong to the whole server, so another database may have made them already. The role
-- that runs this, pointstream_migrator, is made with the database, which it owns.
DO $$
DECLARE
  name text;
BEGIN
  FOREACH name IN ARRAY ARRAY['pointstream_writer', 'pointstream_publisher', 'pointstream_reader',
    'pointstream_operator']
  LOOP
    BEGIN
      EXECUTE format('CREATE ROLE %I NOLOGIN', name);
    EXCEPTION WHEN duplicate_object OR unique_violation THEN
      NULL;
    END;
  END LOOP;
END
$$;

GRANT USAGE ON SCHEMA public TO pointstream_writer, pointstream_publisher, pointstream_reader, pointstream_operator;

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
  balances    json NOT NULL,
  PRIMARY KEY (shard, member_id)
) WITH (fillfactor = 70);

CREATE INDEX accounts_due ON accounts (shard, next_due_at) WHERE next_due_at IS NOT NULL;

-- Points that were issued together and fall due together. `due_at` is the next instant at which something happens to
-- the lot by itself: it becomes active, or expires. `expired` points of it ended unspent, and no refund was set against
-- them. A pending one may wait for a behaviour (`waits_for`), until `activates_at` at the latest, which may be infinity.
CREATE TABLE lots (
  shard        integer NOT NULL,
  member_id    text NOT NULL,
  lot_id       integer NOT NULL CHECK (lot_id > 0),
  wallet       text NOT NULL,
  order_id     text,
  issued       bigint NOT NULL CHECK (issued > 0),
  remaining    bigint NOT NULL,
  activates_at timestamptz,
  expires_at   timestamptz,
  expired      bigint NOT NULL DEFAULT 0,
  waits_for    text,
  due_at       timestamptz GENERATED ALWAYS AS (
    CASE WHEN remaining > 0 AND isfinite(coalesce(activates_at, expires_at)) THEN coalesce(activates_at, expires_at) END
  ) STORED,
  PRIMARY KEY (shard, member_id, lot_id),
  CHECK (remaining >= 0 AND expired >= 0 AND remaining + expired <= issued)
) WITH (fillfactor = 90);

-- Only the open ones: the index stays as small as they are, however long the history is.
CREATE INDEX lots_open ON lots (shard, member_id, due_at) WHERE remaining > 0;

-- Points that a member owes for an order, or without one for the penalty that the posting of a version was.
CREATE TABLE debts (
  shard     integer NOT NULL,
  member_id text NOT NULL,
  debt_no   integer NOT NULL,
  wallet    text NOT NULL,
  order_id  text,
  amount    bigint NOT NULL CHECK (amount > 0),
  version   bigint,
  PRIMARY KEY (shard, member_id, debt_no),
  CHECK ((order_id IS NULL) = (version IS NOT NULL))
);

-- Points that the posting of a version let go for an order. `amount` of them were not made good since, by points that an
-- appeal brought back.
CREATE TABLE write_offs (
  shard     integer NOT NULL,
  member_id text NOT NULL,
  version   bigint NOT NULL,
  wallet    text NOT NULL,
  order_id  text,
  amount    bigint NOT NULL CHECK (amount >= 0),
  PRIMARY KEY (shard, member_id, version, wallet)
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

-- What was given back of an order, as the event told it (`parts`), numbered as it came. What an order's refunds take back
-- follows from all of them together; those that came before their order wait here.
CREATE TABLE refunds (
  shard       integer NOT NULL,
  member_id   text NOT NULL,
  order_id    text NOT NULL,
  refund_no   integer NOT NULL CHECK (refund_no > 0),
  arrived_at  timestamptz NOT NULL,
  source      text NOT NULL,
  event_id    text NOT NULL,
  outcome     text NOT NULL,
  parts       json NOT NULL,
  recorded_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (shard, member_id, order_id, refund_no)
);

-- Those that took nothing when they came: few, however many refunds there are.
CREATE INDEX refunds_idle ON refunds (arrived_at) WHERE outcome IN ('waiting_for_order', 'refund_does_not_fit');

-- What rules may ask about a member, by the versions of its platform, each from when it was so; nothing that names a person.
CREATE TABLE profiles (
  shard     integer NOT NULL,
  member_id text NOT NULL,
  version   bigint NOT NULL CHECK (version > 0),
  since     timestamptz NOT NULL,
  profile   json NOT NULL,
  PRIMARY KEY (shard, member_id, version)
);

-- An event asks for what was so when it happened, and later: few, however often the member has changed.
CREATE INDEX profiles_since ON profiles (shard, member_id, since);

-- Numbers that are kept of a member for a rule or a task, for the period that begins with a day, or for ever (-infinity).
CREATE TABLE tallies (
  shard     integer NOT NULL,
  member_id text NOT NULL,
  name      text NOT NULL,
  period    date NOT NULL,
  value     bigint NOT NULL,
  PRIMARY KEY (shard, member_id, name, period)
) WITH (fillfactor = 90);

-- What was leased of each budget in each of its periods (-infinity: the only one): what is used, and what leases have left.
-- Its row is locked only by a batch whose own lease ran out. Units are points, or millionths of a minor unit of money.
CREATE TABLE budgets (
  budget_id text NOT NULL,
  per       text NOT NULL,
  period    date NOT NULL,
  leased    bigint NOT NULL DEFAULT 0 CHECK (leased >= 0),
  PRIMARY KEY (budget_id, per, period)
) WITH (fillfactor = 10);

-- Leases of budgets. A batch takes one that no other has, and writes back what is left of it; so there are as many as
-- batches were ever under way at once.
CREATE TABLE budget_leases (
  budget_id text NOT NULL,
  per       text NOT NULL,
  period    date NOT NULL,
  lease_id  uuid NOT NULL,
  unused    bigint NOT NULL CHECK (unused >= 0),
  PRIMARY KEY (budget_id, per, period, lease_id)
) WITH (fillfactor = 10);

-- Who invited a member, when, and by which rule of which version of the program; and the member's first order. While
-- something is given for it: for which order, and which side has it, in which lot (null: in the balance alone).
CREATE TABLE referrals (
  shard            integer NOT NULL,
  member_id        text NOT NULL,
  inviter_id       text NOT NULL,
  invited_at       timestamptz NOT NULL,
  rule_id          text NOT NULL,
  program_version  integer NOT NULL,
  first_paid_at    timestamptz,
  first_order_id   text,
  counted_paid_at  timestamptz,
  counted_order_id text,
  inviter_points   bigint CHECK (inviter_points > 0),
  inviter_lot      integer,
  invited_points   bigint CHECK (invited_points > 0),
  invited_lot      integer,
  PRIMARY KEY (shard, member_id),
  CHECK (inviter_id <> member_id),
  CHECK ((first_paid_at IS NULL) = (first_order_id IS NULL)),
  CHECK ((counted_paid_at IS NULL) = (counted_order_id IS NULL)),
  CHECK (counted_order_id IS NOT NULL OR (inviter_points IS NULL AND invited_points IS NULL)),
  CHECK (inviter_points IS NOT NULL OR inviter_lot IS NULL),
  CHECK (invited_points IS NOT NULL OR invited_lot IS NULL)
) WITH (fillfactor = 90);

-- The days that count for a streak: how long it is there, what was given for the day, and by which version of the program.
CREATE TABLE streak_days (
  shard           integer NOT NULL,
  member_id       text NOT NULL,
  streak          text NOT NULL,
  day             date NOT NULL,
  length          integer NOT NULL CHECK (length > 0),
  given           bigint NOT NULL CHECK (given >= 0),
  program_version integer NOT NULL,
  PRIMARY KEY (shard, member_id, streak, day)
) WITH (fillfactor = 90);

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

-- What operators gave and took, with who and why, as the event told it. `moved` points of it moved: none where it was
-- refused, and perhaps fewer than were asked for where it took from a lot. A giving one made the lot `lot_id`; a taking one
-- may have had to take from it. An appeal names the event that it reverses instead of a wallet and points. `shard` is
-- that of the event's id, as in consumed_events, which has the outcome.
CREATE TABLE adjustments (
  shard       integer NOT NULL,
  source      text NOT NULL,
  event_id    text NOT NULL,
  member_id   text NOT NULL,
  wallet      text,
  points      bigint CHECK (points <> 0),
  moved       bigint NOT NULL CHECK (moved >= 0 AND moved <= abs(points)),
  lot_id      integer,
  expires_at  timestamptz,
  import_id   text,
  reverses_source   text,
  reverses_event_id text,
  actor       text NOT NULL,
  reason      text NOT NULL,
  occurred_at timestamptz NOT NULL,
  recorded_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (shard, source, event_id),
  CHECK ((reverses_source IS NULL) = (wallet IS NOT NULL AND points IS NOT NULL)),
  CHECK ((reverses_source IS NULL) = (reverses_event_id IS NULL))
);

-- The events whose takings were reversed, each at most once, and by which appeal. `shard` is the member's.
CREATE TABLE reversed_events (
  shard       integer NOT NULL,
  member_id   text NOT NULL,
  source      text NOT NULL,
  event_id    text NOT NULL,
  by_source   text NOT NULL,
  by_event_id text NOT NULL,
  PRIMARY KEY (shard, member_id, source, event_id)
);

-- The rows of an import, for taking it back.
CREATE INDEX adjustments_of_import ON adjustments (import_id, shard, event_id)
  WHERE import_id IS NOT NULL AND points > 0;

-- What operators want to give or take, whether it needs a second person or not. Of an appeal, `points` is how many the event
-- took, and `wallet` out of which one, where it was one.
CREATE TABLE adjustment_proposals (
  adjustment_id text PRIMARY KEY,
  member_id     text NOT NULL,
  wallet        text,
  points        bigint NOT NULL,
  expires_at    timestamptz,
  reverses_source   text,
  reverses_event_id text,
  actor         text NOT NULL,
  role          text NOT NULL,
  reason        text NOT NULL,
  proposed_at   timestamptz NOT NULL,
  UNIQUE (adjustment_id, actor),
  CHECK (reverses_source IS NOT NULL OR (wallet IS NOT NULL AND points <> 0)),
  CHECK ((reverses_source IS NULL) = (reverses_event_id IS NULL))
);

-- The one decision on each proposal. Nobody approves his own; the proposer's limit may do without a second person, and he may
-- withdraw what he proposed.
CREATE TABLE adjustment_decisions (
  adjustment_id text PRIMARY KEY,
  proposer      text NOT NULL,
  decision      text NOT NULL CHECK (decision IN ('within_limit', 'approved', 'rejected')),
  actor         text NOT NULL,
  role          text NOT NULL,
  why           text NOT NULL,
  decided_at    timestamptz NOT NULL,
  FOREIGN KEY (adjustment_id, proposer) REFERENCES adjustment_proposals (adjustment_id, actor),
  CHECK (decision <> 'approved' OR (actor <> proposer AND role = 'supervisor')),
  CHECK (decision <> 'within_limit' OR actor = proposer)
);

-- Imports of opening balances, and those that were taken back. Each row of an import is an adjustment.
CREATE TABLE imports (
  import_id text PRIMARY KEY,
  wallet    text NOT NULL,
  actor     text NOT NULL,
  reason    text NOT NULL,
  file_name text NOT NULL,
  begun_at  timestamptz NOT NULL
);

CREATE TABLE import_reverts (
  import_id text PRIMARY KEY REFERENCES imports,
  actor     text NOT NULL,
  reason    text NOT NULL,
  begun_at  timestamptz NOT NULL
);

-- The journal: what one event, or one due instant, did to one account. What `follows` from an event for a referral stands
-- beside what the event itself came to, and perhaps in the account of another member.
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
  follows         boolean NOT NULL DEFAULT false,
  PRIMARY KEY (shard, pos),
  CHECK ((source IS NULL) = (event_id IS NULL) AND (source IS NULL) = (event_type IS NULL)),
  CHECK (source IS NOT NULL OR NOT follows)
);

-- What follows from an event.
CREATE INDEX postings_following ON postings (source, event_id) WHERE follows;

-- A member's statement, and the proof that versions have no repeat.
CREATE UNIQUE INDEX postings_of_member ON postings (shard, member_id, version);

-- What a posting moved: from one bucket of a wallet to another. One row is double entry by construction.
CREATE TABLE movements (
  shard       integer NOT NULL,
  pos         bigint NOT NULL,
  seq         integer NOT NULL,
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

-- The points in circulation: what the movements of each shard come to, counted up to a position. It follows the journal
-- some seconds behind, and never has to be counted from the beginning.
CREATE TABLE circulation (
  shard  integer NOT NULL,
  wallet text NOT NULL,
  bucket text NOT NULL,
  points bigint NOT NULL,
  PRIMARY KEY (shard, wallet, bucket)
);

CREATE TABLE circulation_positions (
  shard integer PRIMARY KEY,
  pos   bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 10);

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '% is append-only: % is refused; what was recorded is corrected by new rows', TG_TABLE_NAME, TG_OP
    USING ERRCODE = 'restrict_violation';
END
$$;

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON postings
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON movements
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON adjustments
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON reversed_events
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON adjustment_proposals
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON adjustment_decisions
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON imports
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON import_reverts
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
-- `origin_letter_id` is the letter whose replay this message was. The arrival tells a log that was made again from the
-- one before it.
CREATE TABLE dead_letters (
  letter_id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  topic            text NOT NULL,
  partition        integer NOT NULL,
  "offset"         bigint NOT NULL,
  arrived_at       timestamptz NOT NULL,
  message_key      bytea,
  message_value    bytea,
  headers          json NOT NULL,
  defect           text NOT NULL,
  path             text NOT NULL,
  reason           text NOT NULL,
  source           text,
  event_id         text,
  origin_letter_id bigint REFERENCES dead_letters,
  recorded_at      timestamptz NOT NULL DEFAULT now(),
  UNIQUE (topic, partition, "offset", arrived_at)
);

CREATE INDEX dead_letters_of_origin ON dead_letters (origin_letter_id) WHERE origin_letter_id IS NOT NULL;

-- What people did with a letter, in order. An edit has the message as it is from then on; a replay is recorded before it
-- is sent, with the event that it will be, and `sent` says where it then stood in the log.
CREATE TABLE dead_letter_actions (
  letter_id      bigint NOT NULL REFERENCES dead_letters,
  action_no      integer NOT NULL CHECK (action_no > 0),
  action         text NOT NULL CHECK (action IN ('edit', 'replay', 'sent', 'drop')),
  actor          text NOT NULL,
  why            text NOT NULL,
  message_value  bytea,
  headers        json,
  event_shard    integer,
  source         text,
  event_id       text,
  digest         bytea,
  sent_partition integer,
  sent_offset    bigint,
  recorded_at    timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (letter_id, action_no),
  CHECK ((action = 'edit') = (headers IS NOT NULL)),
  CHECK ((action = 'replay') = (digest IS NOT NULL)),
  CHECK ((action = 'sent') = (sent_offset IS NOT NULL))
);

-- Up to which offset a partition's letters were accepted by somebody: they count towards no limit.
CREATE TABLE dead_letter_acceptances (
  topic        text NOT NULL,
  partition    integer NOT NULL,
  until_offset bigint NOT NULL,
  actor        text NOT NULL,
  why          text NOT NULL,
  recorded_at  timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX dead_letter_acceptances_of_partition ON dead_letter_acceptances (topic, partition, until_offset);

-- What became of each letter. A replay has come back only when everything that was sent of it came back as a letter.
CREATE VIEW dead_letter_states AS
SELECT l.letter_id, replay.source AS replayed_source, replay.event_id AS replayed_event_id, sent.sent_partition,
       sent.sent_offset, consumed.outcome, consumed.recorded_at AS counted_at, returned.letter_id AS returned_as,
       last.action_no,
       CASE
         WHEN last.action IS NULL THEN 'new'
         WHEN last.action = 'edit' THEN 'mended'
         WHEN last.action = 'drop' THEN 'dropped'
         WHEN consumed.outcome IS NOT NULL THEN 'counted'
         WHEN returned.letters >= replay.times THEN 'returned'
         WHEN last.action = 'sent' THEN 'sent'
         ELSE 'sending'
       END AS state
FROM dead_letters AS l
LEFT JOIN LATERAL (
  SELECT action, action_no FROM dead_letter_actions AS a
  WHERE a.letter_id = l.letter_id ORDER BY action_no DESC LIMIT 1
) AS last ON true
LEFT JOIN LATERAL (
  SELECT event_shard, source, event_id, digest, count(*) OVER () AS times FROM dead_letter_actions AS a
  WHERE a.letter_id = l.letter_id AND action = 'replay' ORDER BY action_no DESC LIMIT 1
) AS replay ON true
LEFT JOIN LATERAL (
  SELECT sent_partition, sent_offset FROM dead_letter_actions AS a
  WHERE a.letter_id = l.letter_id AND action = 'sent' ORDER BY action_no DESC LIMIT 1
) AS sent ON true
LEFT JOIN consumed_events AS consumed
  ON consumed.shard = replay.event_shard AND consumed.source = replay.source
  AND consumed.event_id = replay.event_id AND consumed.digest = replay.digest
LEFT JOIN LATERAL (
  SELECT max(r.letter_id) AS letter_id, count(*) AS letters FROM dead_letters AS r
  WHERE r.origin_letter_id = l.letter_id
) AS returned ON true;

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON dead_letters
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON dead_letter_actions
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON dead_letter_acceptances
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Writers add and carry forward; nobody may change or remove what was recorded.
GRANT SELECT ON ALL TABLES IN SCHEMA public TO pointstream_writer, pointstream_reader, pointstream_operator;
GRANT INSERT ON accounts, lots, debts, write_offs, orders, refunds, profiles, tallies, referrals, budgets, budget_leases,
  streak_days, consumed_events, postings, movements, consumer_offsets, dead_letters, programs, shard_heads, installation,
  circulation, circulation_positions, adjustments, reversed_events, adjustment_proposals, adjustment_decisions, imports,
  import_reverts TO pointstream_writer;
GRANT UPDATE ON accounts, lots, write_offs, tallies, referrals, budgets, budget_leases, streak_days, shard_heads,
  consumer_offsets, installation, circulation, circulation_positions
  TO pointstream_writer;
GRANT DELETE ON debts, budget_leases TO pointstream_writer;
-- To lock the table while a version is registered; it allows no change of rows.
GRANT MAINTAIN ON programs TO pointstream_writer;
GRANT SELECT ON installation, postings, movements, shard_heads TO pointstream_publisher;
-- People who look after dead letters add what they did, and touch nothing else.
GRANT INSERT ON dead_letter_actions, dead_letter_acceptances TO pointstream_operator;

-- migrate:down

DROP VIEW dead_letter_states;
DROP TABLE import_reverts, imports, adjustment_decisions, adjustment_proposals, adjustments, reversed_events, circulation,
  circulation_positions, dead_letter_acceptances, dead_letter_actions, dead_letters, consumer_offsets, movements,
  postings, consumed_events, streak_days, budget_leases, budgets, referrals, tallies, profiles, refunds, orders,
  write_offs, debts, lots, accounts, shard_heads, programs, installation;
DROP FUNCTION refuse_change();
