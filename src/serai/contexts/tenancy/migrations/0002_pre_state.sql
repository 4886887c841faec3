-- Whether a tenant is served: a suspended one is not, and one that is being erased never again.

ALTER TABLE {tenancy}.tenants ADD COLUMN IF NOT EXISTS state text NOT NULL DEFAULT 'active'
  CHECK (state IN ('active', 'suspended', 'erasing'));
