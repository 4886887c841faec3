-- Shipments and what happened to them on their way.

CREATE SCHEMA IF NOT EXISTS {shipping};
GRANT USAGE ON SCHEMA {shipping} TO serai_app;

CREATE TABLE IF NOT EXISTS {shipping}.shipments (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  order_id uuid NOT NULL,
  number integer NOT NULL CHECK (number > 0),
  status text NOT NULL CHECK (status IN ('pending', 'dispatched', 'delivered', 'cancelled')),
  lines json NOT NULL,
  created_at timestamptz NOT NULL,
  carrier text,
  tracking_number text,
  dispatched_at timestamptz,
  delivered_at timestamptz,
  version integer NOT NULL DEFAULT 1,
  tracking_count integer NOT NULL DEFAULT 0,
  PRIMARY KEY (tenant_id, id),
  CHECK (status = 'cancelled' OR json_array_length(lines) > 0),
  CHECK ((status IN ('dispatched', 'delivered')) = (dispatched_at IS NOT NULL)),
  CHECK ((status = 'delivered') = (delivered_at IS NOT NULL)),
  CHECK (dispatched_at IS NULL OR carrier IS NOT NULL)
) WITH (fillfactor = 85);
-- Every index begins with the tenant, and of an empty table any of them looks as good as another to
-- the planner, whose choice then lasts while the table fills. So each but the primary key has a
-- condition that is always true, and serves only statements that name it.
--
-- This one makes a second confirmation harmless, and lets a cancellation keep a late one out.
CREATE UNIQUE INDEX IF NOT EXISTS shipments_order ON {shipping}.shipments (tenant_id, order_id, number)
  WHERE number > 0;
CREATE INDEX IF NOT EXISTS shipments_status ON {shipping}.shipments (tenant_id, status, id)
  WHERE status <> '';
SELECT {kernel}.wall('{shipping}.shipments');

CREATE TABLE IF NOT EXISTS {shipping}.tracking_events (
  tenant_id uuid NOT NULL,
  shipment_id uuid NOT NULL,
  id uuid NOT NULL,
  status text NOT NULL,
  detail text NOT NULL,
  occurred_at timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, shipment_id, id),
  FOREIGN KEY (tenant_id, shipment_id) REFERENCES {shipping}.shipments (tenant_id, id)
);
SELECT {kernel}.wall('{shipping}.tracking_events');
