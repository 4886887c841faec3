-- Tenants, where they live, and their API keys.

CREATE SCHEMA IF NOT EXISTS {tenancy};
GRANT USAGE ON SCHEMA {tenancy} TO serai_app;

CREATE TABLE IF NOT EXISTS {tenancy}.tenants (
  tenant_id uuid PRIMARY KEY,
  name text NOT NULL UNIQUE CHECK (name ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'),
  home text NOT NULL,
  home_database text NOT NULL,
  home_prefix text NOT NULL,
  created_at timestamptz NOT NULL
);
CREATE INDEX IF NOT EXISTS tenants_home ON {tenancy}.tenants (home, tenant_id);
-- The directory: workers and the command line read it for every tenant.
SELECT {kernel}.wall_transport('{tenancy}.tenants');

CREATE TABLE IF NOT EXISTS {tenancy}.api_keys (
  tenant_id uuid NOT NULL,
  key_id uuid NOT NULL,
  label text NOT NULL,
  digest bytea NOT NULL CHECK (octet_length(digest) = 32),
  scopes text[] NOT NULL CHECK (cardinality(scopes) > 0),
  created_at timestamptz NOT NULL,
  revoked_at timestamptz,
  PRIMARY KEY (tenant_id, key_id)
);
SELECT {kernel}.wall('{tenancy}.api_keys');
