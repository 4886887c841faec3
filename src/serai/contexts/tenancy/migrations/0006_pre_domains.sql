-- Domains of tenants: claimed first, and proven by a record in the DNS. A request names its domain before
-- anybody knows whose it is, so the transport may look through all of them; only one tenant has proven it.

CREATE TABLE IF NOT EXISTS {tenancy}.domains (
  tenant_id uuid NOT NULL,
  domain text NOT NULL CHECK (domain ~ '^[a-z0-9.-]{3,253}$'),
  token text NOT NULL,
  created_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL,
  proven_at timestamptz,
  PRIMARY KEY (tenant_id, domain)
);
CREATE UNIQUE INDEX IF NOT EXISTS domains_proven ON {tenancy}.domains (domain)
  WHERE proven_at IS NOT NULL;
SELECT {kernel}.wall_transport('{tenancy}.domains');
