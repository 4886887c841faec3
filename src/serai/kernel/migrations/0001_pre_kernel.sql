-- The kernel's tables: the log, consumer groups, dead letters, flows and idempotency keys.

CREATE SCHEMA IF NOT EXISTS {kernel};

-- The tenants that the present transaction may see; empty where none was set, so that nothing shows.
CREATE OR REPLACE FUNCTION {kernel}.tenants() RETURNS uuid[]
LANGUAGE sql STABLE PARALLEL SAFE
AS $$ SELECT COALESCE(NULLIF(current_setting('serai.tenants', true), ''), '{}'::text)::uuid[] $$;

-- Whether the present transaction carries messages of all tenants (the kernel's own tables only).
CREATE OR REPLACE FUNCTION {kernel}.is_transport() RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE
AS $$ SELECT COALESCE(current_setting('serai.transport', true), '') = 'on' $$;

-- Walls a tenant table off and hands it to the application's role. Safe to call twice.
-- "IS TRUE" keeps the wall out of index conditions: the planner must not be tempted to read a whole
-- tenant where the statement names its keys.
CREATE OR REPLACE FUNCTION {kernel}.wall(wanted regclass) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', wanted);
  EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', wanted);
  EXECUTE format('DROP POLICY IF EXISTS tenant_wall ON %s', wanted);
  EXECUTE format(
    'CREATE POLICY tenant_wall ON %s USING ((tenant_id = ANY ((SELECT {kernel}.tenants())::uuid[])) IS TRUE) '
    'WITH CHECK ((tenant_id = ANY ((SELECT {kernel}.tenants())::uuid[])) IS TRUE)', wanted);
  EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %s TO serai_app', wanted);
END $$;

-- The same for the kernel's own message tables, which the transport reads for every tenant.
CREATE OR REPLACE FUNCTION {kernel}.wall_transport(wanted regclass) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM {kernel}.wall(wanted);
  EXECUTE format('DROP POLICY IF EXISTS transport ON %s', wanted);
  EXECUTE format(
    'CREATE POLICY transport ON %s USING ((SELECT {kernel}.is_transport())) '
    'WITH CHECK ((SELECT {kernel}.is_transport()))', wanted);
END $$;

GRANT USAGE ON SCHEMA {kernel} TO serai_app;

CREATE TABLE IF NOT EXISTS {kernel}.outbox (
  topic text NOT NULL,
  partition smallint NOT NULL,
  xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
  seq bigint GENERATED ALWAYS AS IDENTITY,
  tenant_id uuid NOT NULL,
  event_id uuid NOT NULL,
  type text NOT NULL,
  key uuid NOT NULL,
  occurred_at timestamptz NOT NULL,
  correlation_id uuid NOT NULL,
  causation_id uuid,
  traceparent text,
  data json NOT NULL,
  PRIMARY KEY (topic, partition, xid, seq)
);
SELECT {kernel}.wall_transport('{kernel}.outbox');

CREATE TABLE IF NOT EXISTS {kernel}.leases (
  group_name text NOT NULL,
  partition smallint NOT NULL,
  owner uuid,
  fence bigint NOT NULL DEFAULT 0,
  lease_until timestamptz NOT NULL DEFAULT '-infinity',
  PRIMARY KEY (group_name, partition)
) WITH (fillfactor = 50);

CREATE TABLE IF NOT EXISTS {kernel}.positions (
  group_name text NOT NULL,
  topic text NOT NULL,
  partition smallint NOT NULL,
  xid xid8 NOT NULL DEFAULT '0',
  seq bigint NOT NULL DEFAULT 0,
  PRIMARY KEY (group_name, topic, partition)
) WITH (fillfactor = 50);

CREATE TABLE IF NOT EXISTS {kernel}.members (
  group_name text NOT NULL,
  worker uuid NOT NULL,
  seen_at timestamptz NOT NULL,
  PRIMARY KEY (group_name, worker)
);
GRANT SELECT, INSERT, UPDATE, DELETE ON {kernel}.leases, {kernel}.positions, {kernel}.members TO serai_app;

CREATE TABLE IF NOT EXISTS {kernel}.inbox (
  tenant_id uuid NOT NULL,
  group_name text NOT NULL,
  event_id uuid NOT NULL,
  handled_at timestamptz NOT NULL,
  PRIMARY KEY (group_name, event_id)
);
SELECT {kernel}.wall_transport('{kernel}.inbox');

CREATE TABLE IF NOT EXISTS {kernel}.dead_letters (
  tenant_id uuid NOT NULL,
  group_name text NOT NULL,
  event_id uuid NOT NULL,
  topic text NOT NULL,
  partition smallint NOT NULL,
  xid xid8 NOT NULL,
  seq bigint NOT NULL,
  type text NOT NULL,
  key uuid NOT NULL,
  occurred_at timestamptz NOT NULL,
  correlation_id uuid NOT NULL,
  traceparent text,
  data json NOT NULL,
  state text NOT NULL CHECK (state IN ('retrying', 'dead')),
  attempts integer NOT NULL DEFAULT 0,
  next_at timestamptz NOT NULL,
  error text NOT NULL DEFAULT '',
  parked_at timestamptz NOT NULL,
  PRIMARY KEY (group_name, event_id)
);
CREATE INDEX IF NOT EXISTS dead_letters_key ON {kernel}.dead_letters (group_name, key, xid, seq);
CREATE INDEX IF NOT EXISTS dead_letters_due ON {kernel}.dead_letters (group_name, state, next_at);
SELECT {kernel}.wall_transport('{kernel}.dead_letters');

CREATE TABLE IF NOT EXISTS {kernel}.flows (
  tenant_id uuid NOT NULL,
  flow text NOT NULL,
  key uuid NOT NULL,
  state text NOT NULL,
  deadline_at timestamptz,
  data json,
  started_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  ended_at timestamptz,
  PRIMARY KEY (tenant_id, flow, key)
) WITH (fillfactor = 70);
-- Only running flows are in it, so that a timer's look costs what is due and not what ever was.
CREATE INDEX IF NOT EXISTS flows_due ON {kernel}.flows (deadline_at) WHERE ended_at IS NULL;
SELECT {kernel}.wall_transport('{kernel}.flows');

CREATE TABLE IF NOT EXISTS {kernel}.idempotency_keys (
  tenant_id uuid NOT NULL,
  key text NOT NULL,
  fingerprint bytea NOT NULL,
  answer bytea,
  created_at timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, key)
) WITH (fillfactor = 60);
CREATE INDEX IF NOT EXISTS idempotency_keys_age ON {kernel}.idempotency_keys (created_at);
SELECT {kernel}.wall_transport('{kernel}.idempotency_keys');
