-- Whom to write to, what is to be written, and with which words.

CREATE SCHEMA IF NOT EXISTS {notifications};
GRANT USAGE ON SCHEMA {notifications} TO serai_app;

-- The only place of an address: a message finds it by its order.
CREATE TABLE IF NOT EXISTS {notifications}.contacts (
  tenant_id uuid NOT NULL,
  order_id uuid NOT NULL,
  email text NOT NULL,
  currency text NOT NULL,
  total_minor bigint NOT NULL,
  PRIMARY KEY (tenant_id, order_id)
);
SELECT {kernel}.wall('{notifications}.contacts');

-- The id is made of the id of the event, so that the key also keeps a second queueing out.
CREATE TABLE IF NOT EXISTS {notifications}.messages (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  order_id uuid NOT NULL,
  kind text NOT NULL,
  facts json NOT NULL,
  status text NOT NULL CHECK (status IN ('queued', 'sending', 'sent', 'failed', 'skipped')),
  attempts integer NOT NULL DEFAULT 0,
  round integer NOT NULL DEFAULT 1 CHECK (round > 0),
  error text NOT NULL DEFAULT '',
  created_at timestamptz NOT NULL,
  due_at timestamptz NOT NULL,
  sent_at timestamptz,
  PRIMARY KEY (tenant_id, id),
  CHECK ((status = 'sent') = (sent_at IS NOT NULL))
) WITH (fillfactor = 80);
-- The conditions of these two are always true, and keep them for the statements that name them: of an
-- empty table each looks as good as the primary key to the planner, whose choice lasts while it fills.
CREATE INDEX IF NOT EXISTS messages_order ON {notifications}.messages (tenant_id, order_id, id)
  WHERE round > 0;
CREATE INDEX IF NOT EXISTS messages_status ON {notifications}.messages (tenant_id, status, id)
  WHERE status <> '';
-- Only what still has to go out is in it, so that looking for it costs what is due.
CREATE INDEX IF NOT EXISTS messages_due ON {notifications}.messages (tenant_id, due_at)
  WHERE status IN ('queued', 'sending');
SELECT {kernel}.wall('{notifications}.messages');

CREATE TABLE IF NOT EXISTS {notifications}.templates (
  tenant_id uuid NOT NULL,
  kind text NOT NULL,
  subject text NOT NULL,
  text text NOT NULL,
  html text NOT NULL,
  version integer NOT NULL CHECK (version > 0),
  updated_at timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, kind)
);
SELECT {kernel}.wall('{notifications}.templates');
