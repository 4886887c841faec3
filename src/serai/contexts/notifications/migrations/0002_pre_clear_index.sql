-- concurrently
-- Holds the contacts whose addresses are in clear, from before they rested sealed, until `privacy.seal` is
-- done.
CREATE INDEX CONCURRENTLY IF NOT EXISTS contacts_clear ON {notifications}.contacts (tenant_id, order_id)
  WHERE email LIKE '%@%';
