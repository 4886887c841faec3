-- Orders of which goods have left and whose money will not come (ADR 0015). A constant default changes
-- the catalogue only, so no row is rewritten.

ALTER TABLE {orders}.orders ADD COLUMN IF NOT EXISTS is_unpaid boolean NOT NULL DEFAULT false;
