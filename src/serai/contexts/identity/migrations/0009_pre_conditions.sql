-- A role may hold its scopes under conditions: for each scope, the data of each condition by its name.
-- A session knows when it was opened by a second factor; one from before was opened without, as far as
-- anyone knows.

ALTER TABLE {identity}.roles ADD COLUMN IF NOT EXISTS conditions jsonb NOT NULL DEFAULT '{}';
ALTER TABLE {identity}.sessions ADD COLUMN IF NOT EXISTS factor_at timestamptz;
