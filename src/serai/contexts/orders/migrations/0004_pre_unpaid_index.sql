-- concurrently
-- Holds the few orders that are marked, so that listing them costs what there is to see.
CREATE INDEX CONCURRENTLY IF NOT EXISTS orders_unpaid ON {orders}.orders (tenant_id, id) WHERE is_unpaid;
