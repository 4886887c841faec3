-- What was promised back for the returned units of a line; never more than the line had cost. A constant
-- default rewrites no row.

ALTER TABLE {orders}.lines
  ADD COLUMN IF NOT EXISTS refund_minor bigint NOT NULL DEFAULT 0 CHECK (refund_minor BETWEEN 0 AND amount_minor);
