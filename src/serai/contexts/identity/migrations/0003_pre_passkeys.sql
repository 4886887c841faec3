-- Passkeys, the challenges that they answer, and the roles that ask for a second factor.

CREATE TABLE IF NOT EXISTS {identity}.passkeys (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  account_id uuid NOT NULL,
  credential_id bytea NOT NULL CHECK (octet_length(credential_id) <= 1023),
  public_key bytea NOT NULL,
  rp_id text NOT NULL,
  sign_count bigint NOT NULL CHECK (sign_count >= 0),
  is_backed_up boolean NOT NULL,
  name text NOT NULL,
  created_at timestamptz NOT NULL,
  used_at timestamptz,
  PRIMARY KEY (tenant_id, id)
) WITH (fillfactor = 80);
CREATE UNIQUE INDEX IF NOT EXISTS passkeys_credential
  ON {identity}.passkeys (tenant_id, credential_id);
CREATE INDEX IF NOT EXISTS passkeys_account ON {identity}.passkeys (tenant_id, account_id, id);
SELECT {kernel}.wall('{identity}.passkeys');

-- What is to be signed next, and by whom: of somebody who signs in, and so is not known yet, the
-- account is nil. A challenge is deleted when it is answered, whatever the answer is worth.
CREATE TABLE IF NOT EXISTS {identity}.passkey_challenges (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  account_id uuid NOT NULL,
  challenge bytea NOT NULL,
  origin text NOT NULL,
  rp_id text NOT NULL,
  expires_at timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, id)
);
CREATE INDEX IF NOT EXISTS passkey_challenges_account
  ON {identity}.passkey_challenges (tenant_id, account_id, id);
CREATE INDEX IF NOT EXISTS passkey_challenges_expiry
  ON {identity}.passkey_challenges (tenant_id, expires_at) WHERE origin <> '';
SELECT {kernel}.wall('{identity}.passkey_challenges');

-- Roles that give nothing to an account without a second factor.
CREATE TABLE IF NOT EXISTS {identity}.factor_roles (
  tenant_id uuid NOT NULL,
  role text NOT NULL,
  PRIMARY KEY (tenant_id, role)
);
SELECT {kernel}.wall('{identity}.factor_roles');
