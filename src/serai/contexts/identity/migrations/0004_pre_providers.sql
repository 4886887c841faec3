-- OpenID Connect providers of a tenant, who came in by them, and sign-ins that are under way.

CREATE TABLE IF NOT EXISTS {identity}.providers (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  kind text NOT NULL CHECK (kind IN ('customer', 'staff')),
  name text NOT NULL,
  issuer text NOT NULL,
  client_id text NOT NULL,
  sealed_secret text,
  email_domains text[] NOT NULL,
  is_enabled boolean NOT NULL,
  version integer NOT NULL CHECK (version > 0),
  created_at timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, id)
);
CREATE UNIQUE INDEX IF NOT EXISTS providers_issuer ON {identity}.providers (tenant_id, kind, issuer);
SELECT {kernel}.wall('{identity}.providers');

-- Whom a provider means by a subject. Only this says it, never an address.
CREATE TABLE IF NOT EXISTS {identity}.provider_links (
  tenant_id uuid NOT NULL,
  kind text NOT NULL,
  issuer text NOT NULL,
  subject text NOT NULL,
  account_id uuid NOT NULL,
  created_at timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, kind, issuer, subject)
);
CREATE INDEX IF NOT EXISTS provider_links_account
  ON {identity}.provider_links (tenant_id, account_id);
SELECT {kernel}.wall('{identity}.provider_links');

-- By the digest of its state. `binding` is the digest of what only the browser holds that began it,
-- `sealed` the nonce and the verifier of the code (PKCE). It is deleted when it is answered.
CREATE TABLE IF NOT EXISTS {identity}.provider_tries (
  tenant_id uuid NOT NULL,
  state bytea NOT NULL,
  provider_id uuid NOT NULL,
  binding bytea NOT NULL,
  sealed text NOT NULL,
  redirect_uri text NOT NULL,
  expires_at timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, state)
);
CREATE INDEX IF NOT EXISTS provider_tries_expiry
  ON {identity}.provider_tries (tenant_id, expires_at) WHERE sealed <> '';
SELECT {kernel}.wall('{identity}.provider_tries');
