-- The web pages (origins) that may read a tenant's answers in a browser. A preflight names no tenant, so
-- the transport may look through all of them.

CREATE TABLE IF NOT EXISTS {tenancy}.cors_origins (
  tenant_id uuid NOT NULL,
  origin text NOT NULL,
  PRIMARY KEY (tenant_id, origin)
);
CREATE INDEX IF NOT EXISTS cors_origins_origin ON {tenancy}.cors_origins (origin, tenant_id);
SELECT {kernel}.wall_transport('{tenancy}.cors_origins');
