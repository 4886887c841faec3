-- concurrently
-- Holds the requests that wait for somebody to look, so that listing them costs what there is to see.
CREATE INDEX CONCURRENTLY IF NOT EXISTS returns_requested ON {returns}.returns (tenant_id, id)
  WHERE status = 'requested';
