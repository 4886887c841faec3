-- How many of an order's units came back to each place they were sold from: no place gets more than it
-- gave. A constant default rewrites no row.

ALTER TABLE {inventory}.reservations
  ADD COLUMN IF NOT EXISTS returned bigint NOT NULL DEFAULT 0 CHECK (returned BETWEEN 0 AND quantity);
