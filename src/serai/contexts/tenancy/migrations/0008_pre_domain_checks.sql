-- A proven domain is checked again and again. One whose record is gone is suspended: it is proven no more,
-- so that who has it now can prove it, and stays in its tenant's list until she proves it anew or drops it.

ALTER TABLE {tenancy}.domains ADD COLUMN IF NOT EXISTS check_at timestamptz;
ALTER TABLE {tenancy}.domains ADD COLUMN IF NOT EXISTS checked_at timestamptz;
ALTER TABLE {tenancy}.domains ADD COLUMN IF NOT EXISTS misses integer NOT NULL DEFAULT 0;
ALTER TABLE {tenancy}.domains ADD COLUMN IF NOT EXISTS suspended_at timestamptz;
