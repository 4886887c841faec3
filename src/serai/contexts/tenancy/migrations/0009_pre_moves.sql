-- Moves of tenants from home to home, each with the step that it has come to: what a killed one left
-- is gone on with, or undone. A tenant has one at a time that has not ended.

CREATE TABLE IF NOT EXISTS {tenancy}.moves (
  tenant_id uuid NOT NULL,
  move_id uuid NOT NULL,
  source text NOT NULL,
  source_database text NOT NULL,
  source_prefix text NOT NULL,
  target text NOT NULL,
  target_database text NOT NULL,
  target_prefix text NOT NULL,
  step text NOT NULL CHECK (step IN ('preparing', 'copying', 'following', 'cleaning', 'done', 'undone')),
  rows bigint NOT NULL DEFAULT 0,
  refused_ms integer,
  error text,
  started_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  ended_at timestamptz,
  PRIMARY KEY (tenant_id, move_id)
);
CREATE UNIQUE INDEX IF NOT EXISTS moves_one ON {tenancy}.moves (tenant_id) WHERE ended_at IS NULL;
SELECT {kernel}.wall_transport('{tenancy}.moves');
