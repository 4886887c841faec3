-- concurrently
-- Holds the tenants that were given up, so that looking for them costs what there is to find.
CREATE INDEX CONCURRENTLY IF NOT EXISTS tenants_expired ON {tenancy}.tenants (tenant_id)
  WHERE state = 'expired';
