-- Apps of the shop that a customer signs in to with her account here, or that come by themselves: the
-- clients of OAuth. What was consented to, codes on their way, and devices that wait for an answer.

CREATE TABLE IF NOT EXISTS {identity}.apps (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  name text NOT NULL,
  is_public boolean NOT NULL,
  redirect_uris text[] NOT NULL,
  grants text[] NOT NULL,
  scopes text[] NOT NULL,
  secret bytea CHECK (octet_length(secret) = 32),
  old_secret bytea CHECK (octet_length(old_secret) = 32),
  old_secret_until timestamptz,
  version integer NOT NULL DEFAULT 1 CHECK (version > 0),
  created_at timestamptz NOT NULL,
  disabled_at timestamptz,
  PRIMARY KEY (tenant_id, id)
);
SELECT {kernel}.wall('{identity}.apps');

CREATE TABLE IF NOT EXISTS {identity}.consents (
  tenant_id uuid NOT NULL,
  account_id uuid NOT NULL,
  app_id uuid NOT NULL,
  scopes text[] NOT NULL,
  given_at timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, account_id, app_id)
);
SELECT {kernel}.wall('{identity}.consents');

-- A session of an app is one of its customer's, and ends with the others. The nil app is the provider's
-- own pages, by which she stays signed in while she goes from app to app.
ALTER TABLE {identity}.sessions ADD COLUMN IF NOT EXISTS app_id uuid;
ALTER TABLE {identity}.sessions ADD COLUMN IF NOT EXISTS scopes text[] NOT NULL DEFAULT '{}';

-- A code is kept after its use, with the session that came of it: who brings it again ends that.
CREATE TABLE IF NOT EXISTS {identity}.codes (
  tenant_id uuid NOT NULL,
  digest bytea NOT NULL CHECK (octet_length(digest) = 32),
  app_id uuid NOT NULL,
  account_id uuid NOT NULL,
  redirect_uri text NOT NULL,
  challenge text NOT NULL,
  scopes text[] NOT NULL,
  nonce text,
  signed_in_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL,
  session_id uuid,
  PRIMARY KEY (tenant_id, digest)
);
CREATE INDEX IF NOT EXISTS codes_expiry ON {identity}.codes (tenant_id, expires_at)
  WHERE challenge <> '';
SELECT {kernel}.wall('{identity}.codes');

CREATE TABLE IF NOT EXISTS {identity}.devices (
  tenant_id uuid NOT NULL,
  digest bytea NOT NULL CHECK (octet_length(digest) = 32),
  user_code bytea NOT NULL CHECK (octet_length(user_code) = 32),
  app_id uuid NOT NULL,
  scopes text[] NOT NULL,
  interval_s integer NOT NULL CHECK (interval_s > 0),
  expires_at timestamptz NOT NULL,
  polled_at timestamptz,
  answer text NOT NULL DEFAULT '' CHECK (answer IN ('', 'allowed', 'denied')),
  account_id uuid,
  signed_in_at timestamptz,
  session_id uuid,
  PRIMARY KEY (tenant_id, digest)
) WITH (fillfactor = 70);
CREATE UNIQUE INDEX IF NOT EXISTS devices_user_code ON {identity}.devices (tenant_id, user_code);
CREATE INDEX IF NOT EXISTS devices_app ON {identity}.devices (tenant_id, app_id, expires_at);
CREATE INDEX IF NOT EXISTS devices_expiry ON {identity}.devices (tenant_id, expires_at)
  WHERE interval_s > 0;
SELECT {kernel}.wall('{identity}.devices');
