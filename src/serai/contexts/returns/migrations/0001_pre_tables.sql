-- Returns: what came back of which order, and how far its refund has come.

CREATE SCHEMA IF NOT EXISTS {returns};
GRANT USAGE ON SCHEMA {returns} TO serai_app;

CREATE TABLE IF NOT EXISTS {returns}.returns (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  order_id uuid NOT NULL,
  status text NOT NULL CHECK (status IN ('accepted', 'refunded', 'refund_failed')),
  reason text NOT NULL,
  currency text NOT NULL,
  refund_minor bigint NOT NULL CHECK (refund_minor >= 0),
  is_restocked boolean NOT NULL,
  lines json NOT NULL CHECK (json_array_length(lines) > 0),
  created_at timestamptz NOT NULL,
  settled_at timestamptz,
  PRIMARY KEY (tenant_id, id),
  CHECK ((status = 'refunded') = (settled_at IS NOT NULL))
) WITH (fillfactor = 85);
-- The condition is always true, and keeps this index for the statements that name it: of an empty
-- table it looks as good as the primary key to the planner, whose choice lasts while the table fills.
CREATE INDEX IF NOT EXISTS returns_order ON {returns}.returns (tenant_id, order_id, id)
  WHERE refund_minor >= 0;
SELECT {kernel}.wall('{returns}.returns');
