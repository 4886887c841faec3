-- The audit trail: entries that the application may add and read, and nothing else.

CREATE SCHEMA IF NOT EXISTS {audit};
GRANT USAGE ON SCHEMA {audit} TO serai_app;

CREATE TABLE IF NOT EXISTS {audit}.entries (
  tenant_id uuid NOT NULL,
  seq bigint NOT NULL CHECK (seq > 0),
  recorded_at timestamptz NOT NULL,
  event_id uuid NOT NULL,
  action text NOT NULL,
  actor_kind text NOT NULL
    CHECK (actor_kind IN ('key', 'staff', 'customer', 'app', 'operator', 'system')),
  actor_id uuid NOT NULL,
  address text,
  subject_kind text NOT NULL,
  subject_id text NOT NULL,
  correlation_id uuid NOT NULL,
  causation_id uuid,
  request_id text,
  detail json NOT NULL,
  previous bytea NOT NULL CHECK (octet_length(previous) = 32),
  hash bytea NOT NULL CHECK (octet_length(hash) = 32),
  PRIMARY KEY (tenant_id, seq)
);
-- New rows fall at the end of each of them, or at the end of one subject's or actor's part of it.
-- The condition is always true. It keeps each index for the statement that names it: of an empty
-- table every index looks as good as the primary key, and the choice lasts while the table fills.
CREATE INDEX IF NOT EXISTS entries_subject ON {audit}.entries (tenant_id, subject_id, seq)
  WHERE seq > 0;
CREATE INDEX IF NOT EXISTS entries_correlation ON {audit}.entries (tenant_id, correlation_id, seq)
  WHERE seq > 0;
CREATE INDEX IF NOT EXISTS entries_actor ON {audit}.entries (tenant_id, actor_id, seq)
  WHERE seq > 0;
CREATE INDEX IF NOT EXISTS entries_action ON {audit}.entries (tenant_id, action, seq)
  WHERE seq > 0;
SELECT {kernel}.wall('{audit}.entries');
REVOKE UPDATE, DELETE, TRUNCATE ON {audit}.entries FROM serai_app;

-- Where a chain begins now: the last entry that retention has dropped, one row for each dropping.
CREATE TABLE IF NOT EXISTS {audit}.anchors (
  tenant_id uuid NOT NULL,
  seq bigint NOT NULL CHECK (seq > 0),
  hash bytea NOT NULL CHECK (octet_length(hash) = 32),
  dropped bigint NOT NULL CHECK (dropped > 0),
  dropped_at timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, seq)
);
SELECT {kernel}.wall('{audit}.anchors');
REVOKE INSERT, UPDATE, DELETE, TRUNCATE ON {audit}.anchors FROM serai_app;

-- The database itself refuses a link that follows nothing: also of who has the application's role.
CREATE OR REPLACE FUNCTION {audit}.refuse_loose_links() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (
    -- Each row against the one before it in the same statement; only a first one is looked up.
    SELECT 1 FROM (
      SELECT n.tenant_id, n.seq, n.previous, lag(n.seq) OVER w AS seq_before, lag(n.hash) OVER w AS hash_before
      FROM added n WINDOW w AS (PARTITION BY n.tenant_id ORDER BY n.seq)
    ) a
    WHERE a.previous IS DISTINCT FROM
      CASE WHEN a.seq = 1 THEN decode(repeat('00', 32), 'hex')
           WHEN a.seq_before = a.seq - 1 THEN a.hash_before
           ELSE (SELECT e.hash FROM {audit}.entries e WHERE e.tenant_id = a.tenant_id AND e.seq = a.seq - 1)
      END
  ) THEN
    RAISE EXCEPTION 'an entry of the audit trail does not follow the one before it'
      USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER entries_linked AFTER INSERT ON {audit}.entries
  REFERENCING NEW TABLE AS added FOR EACH STATEMENT
  EXECUTE FUNCTION {audit}.refuse_loose_links();

-- How long entries are kept, in days; only who owns the schema may say so.
CREATE OR REPLACE FUNCTION {audit}.kept_days() RETURNS integer LANGUAGE sql IMMUTABLE
AS $$ SELECT 1095 $$;

-- The one way to drop entries: the oldest of a tenant, older than the retention, never the newest.
-- It runs as its owner, and leaves an anchor from which the rest can be verified.
CREATE OR REPLACE FUNCTION {audit}.forget(wanted uuid, at_most integer) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  late timestamptz := now() - make_interval(days => {audit}.kept_days());
  first_kept bigint;
  last_gone bigint;
  last_hash bytea;
  gone bigint;
BEGIN
  IF NOT (wanted = ANY ({kernel}.tenants())) THEN
    RAISE EXCEPTION 'this transaction does not act for that tenant'
      USING ERRCODE = 'insufficient_privilege';
  END IF;
  -- The first that is to stay: the first too young, or the newest of all.
  SELECT e.seq INTO first_kept FROM {audit}.entries e
  WHERE e.tenant_id = wanted AND e.recorded_at >= late ORDER BY e.seq LIMIT 1;
  IF first_kept IS NULL THEN
    SELECT e.seq INTO first_kept FROM {audit}.entries e
    WHERE e.tenant_id = wanted ORDER BY e.seq DESC LIMIT 1;
  END IF;
  SELECT g.seq, g.hash INTO last_gone, last_hash FROM (
    SELECT e.seq, e.hash FROM {audit}.entries e
    WHERE e.tenant_id = wanted AND e.seq < first_kept ORDER BY e.seq LIMIT at_most
  ) g ORDER BY g.seq DESC LIMIT 1;
  IF last_gone IS NULL THEN
    RETURN 0;
  END IF;
  DELETE FROM {audit}.entries e WHERE e.tenant_id = wanted AND e.seq <= last_gone;
  GET DIAGNOSTICS gone = ROW_COUNT;
  INSERT INTO {audit}.anchors (tenant_id, seq, hash, dropped, dropped_at)
  VALUES (wanted, last_gone, last_hash, gone, now());
  RETURN gone;
END $$;
REVOKE ALL ON FUNCTION {audit}.forget(uuid, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION {audit}.forget(uuid, integer) TO serai_app;
