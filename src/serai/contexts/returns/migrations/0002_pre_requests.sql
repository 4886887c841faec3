-- Returns that a customer asks for: they move nothing until the staff accepts them. The new check holds
-- for all that the old code writes, and a NULL default rewrites no row.

ALTER TABLE {returns}.returns ADD COLUMN IF NOT EXISTS accepted_at timestamptz;
ALTER TABLE {returns}.returns DROP CONSTRAINT IF EXISTS returns_status_check;
ALTER TABLE {returns}.returns ADD CONSTRAINT returns_status_check
  CHECK (status IN ('requested', 'declined', 'accepted', 'refunded', 'refund_failed')) NOT VALID;
