-- Accounts, their sessions and roles, what was mailed to prove an address, and the keys that sign.

CREATE SCHEMA IF NOT EXISTS {identity};
GRANT USAGE ON SCHEMA {identity} TO serai_app;

-- Customers and staff are apart by their kind: it leads the key of an address, so that one person may
-- be both, with two passwords, and no statement finds one for the other.
CREATE TABLE IF NOT EXISTS {identity}.accounts (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  kind text NOT NULL CHECK (kind IN ('customer', 'staff')),
  email text NOT NULL,
  email_key text NOT NULL,
  name text NOT NULL,
  password_hash text,
  roles text[] NOT NULL,
  version integer NOT NULL DEFAULT 1 CHECK (version > 0),
  created_at timestamptz NOT NULL,
  suspended_at timestamptz,
  PRIMARY KEY (tenant_id, id)
);
CREATE UNIQUE INDEX IF NOT EXISTS accounts_email ON {identity}.accounts (tenant_id, kind, email_key);
CREATE INDEX IF NOT EXISTS accounts_kind ON {identity}.accounts (tenant_id, kind, id);
SELECT {kernel}.wall('{identity}.accounts');

-- A session is a family of refresh tokens: `family` is the digest of the half that all have in common,
-- `fresh` that of the half that only the latest has.
CREATE TABLE IF NOT EXISTS {identity}.sessions (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  account_id uuid NOT NULL,
  family bytea NOT NULL CHECK (octet_length(family) = 32),
  fresh bytea NOT NULL CHECK (octet_length(fresh) = 32),
  created_at timestamptz NOT NULL,
  used_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL,
  ended_at timestamptz,
  reason text NOT NULL DEFAULT '',
  PRIMARY KEY (tenant_id, id)
) WITH (fillfactor = 80);
-- The conditions of these are always true, or true of what is looked for, and keep each index for the
-- statements that name them: of an empty table it looks as good as the primary key to the planner.
CREATE INDEX IF NOT EXISTS sessions_account ON {identity}.sessions (tenant_id, account_id, id)
  WHERE ended_at IS NULL;
CREATE INDEX IF NOT EXISTS sessions_expiry ON {identity}.sessions (tenant_id, expires_at)
  WHERE used_at > '-infinity';
SELECT {kernel}.wall('{identity}.sessions');

-- What a mail asks its reader to confirm. The token in the mail is made of the id by a secret that is
-- not in the database, so nothing here can be used.
CREATE TABLE IF NOT EXISTS {identity}.mail_tokens (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  purpose text NOT NULL CHECK (purpose IN ('registration', 'password')),
  account_id uuid,
  email text NOT NULL,
  name text NOT NULL DEFAULT '',
  password_hash text,
  created_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL,
  used_at timestamptz,
  PRIMARY KEY (tenant_id, id)
);
CREATE INDEX IF NOT EXISTS mail_tokens_account ON {identity}.mail_tokens (tenant_id, account_id)
  WHERE used_at IS NULL AND purpose = 'password';
CREATE INDEX IF NOT EXISTS mail_tokens_expiry ON {identity}.mail_tokens (tenant_id, expires_at)
  WHERE purpose <> '';
SELECT {kernel}.wall('{identity}.mail_tokens');

-- How many tries are left, as the time at which all of them are there again.
CREATE TABLE IF NOT EXISTS {identity}.throttles (
  tenant_id uuid NOT NULL,
  bucket bytea NOT NULL,
  full_at timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, bucket)
) WITH (fillfactor = 70);
CREATE INDEX IF NOT EXISTS throttles_full ON {identity}.throttles (tenant_id, full_at)
  WHERE bucket <> '';
SELECT {kernel}.wall('{identity}.throttles');

CREATE TABLE IF NOT EXISTS {identity}.roles (
  tenant_id uuid NOT NULL,
  name text NOT NULL,
  scopes text[] NOT NULL,
  version integer NOT NULL CHECK (version > 0),
  updated_at timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, name)
);
SELECT {kernel}.wall('{identity}.roles');

-- The keys belong to the installation: their tenant is the platform's own, nil, so that the wall hides
-- them from every other.
CREATE TABLE IF NOT EXISTS {identity}.signing_keys (
  tenant_id uuid NOT NULL CHECK (tenant_id = '00000000-0000-0000-0000-000000000000'),
  number integer NOT NULL CHECK (number > 0),
  id uuid NOT NULL,
  public_key text NOT NULL,
  sealed_key text NOT NULL,
  created_at timestamptz NOT NULL,
  signs_from timestamptz NOT NULL,
  revoked_at timestamptz,
  PRIMARY KEY (tenant_id, number)
);
SELECT {kernel}.wall('{identity}.signing_keys');
