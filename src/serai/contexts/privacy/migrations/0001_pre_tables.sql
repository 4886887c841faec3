-- Erasures of people, their consents, and for how long what is personal is kept.

CREATE SCHEMA IF NOT EXISTS {privacy};
GRANT USAGE ON SCHEMA {privacy} TO serai_app;

-- An erasure names nobody: its subject is a keyed digest. `places` is where each context goes on.
CREATE TABLE IF NOT EXISTS {privacy}.erasures (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  subject uuid NOT NULL,
  account_id uuid,
  asked_at timestamptz NOT NULL,
  asked_by text NOT NULL,
  keys_erased integer NOT NULL,
  places json NOT NULL,
  erased json NOT NULL,
  finished_at timestamptz,
  PRIMARY KEY (tenant_id, id)
);
CREATE INDEX IF NOT EXISTS erasures_running ON {privacy}.erasures (tenant_id, id) WHERE finished_at IS NULL;
SELECT {kernel}.wall('{privacy}.erasures');

-- What was agreed to and what was taken back, in the order in which it was said. Nothing of it changes.
CREATE TABLE IF NOT EXISTS {privacy}.consents (
  tenant_id uuid NOT NULL,
  subject uuid NOT NULL,
  id uuid NOT NULL,
  purpose text NOT NULL,
  text_version text NOT NULL,
  is_given boolean NOT NULL,
  how text NOT NULL,
  at timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, subject, id)
);
SELECT {kernel}.wall('{privacy}.consents');
REVOKE UPDATE ON {privacy}.consents FROM serai_app;

-- `days` is null where the default holds; `place` is how far a rule has been applied.
CREATE TABLE IF NOT EXISTS {privacy}.retention_rules (
  tenant_id uuid NOT NULL,
  name text NOT NULL,
  days integer CHECK (days BETWEEN 1 AND 3653),
  place uuid NOT NULL,
  PRIMARY KEY (tenant_id, name)
);
SELECT {kernel}.wall('{privacy}.retention_rules');
