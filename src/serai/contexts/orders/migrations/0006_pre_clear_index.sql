-- concurrently
-- Holds the orders whose addresses are in clear, from before they rested sealed, until `privacy.seal` is done.
CREATE INDEX CONCURRENTLY IF NOT EXISTS orders_clear ON {orders}.orders (tenant_id, id) WHERE email LIKE '%@%';
