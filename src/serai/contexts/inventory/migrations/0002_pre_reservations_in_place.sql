-- concurrently
-- Reservations change their state in place: an index whose condition names the state would be written
-- anew with every sale, and so would all others of the table. Half of each page is left free for it.
-- The time limit is dropped when a reservation ends, so the index holds the open ones only.

ALTER TABLE {inventory}.reservations SET (fillfactor = 50);
CREATE INDEX CONCURRENTLY IF NOT EXISTS reservations_limit ON {inventory}.reservations (tenant_id, expires_at)
  WHERE expires_at IS NOT NULL;
DROP INDEX CONCURRENTLY IF EXISTS {inventory}.reservations_expiry;
