-- Stock items, what is promised of them, and the ledger of what moved.

CREATE SCHEMA IF NOT EXISTS {inventory};
GRANT USAGE ON SCHEMA {inventory} TO serai_app;

CREATE TABLE IF NOT EXISTS {inventory}.locations (
  tenant_id uuid NOT NULL,
  code text NOT NULL,
  name text NOT NULL,
  priority integer NOT NULL DEFAULT 0,
  created_at timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, code)
);
SELECT {kernel}.wall('{inventory}.locations');

-- The last check is the promise itself: every unit received is in exactly one place.
CREATE TABLE IF NOT EXISTS {inventory}.stock_items (
  tenant_id uuid NOT NULL,
  sku text NOT NULL,
  location text NOT NULL,
  received bigint NOT NULL DEFAULT 0 CHECK (received >= 0),
  available bigint NOT NULL DEFAULT 0 CHECK (available >= 0),
  reserved bigint NOT NULL DEFAULT 0 CHECK (reserved >= 0),
  sold bigint NOT NULL DEFAULT 0 CHECK (sold >= 0),
  written_off bigint NOT NULL DEFAULT 0 CHECK (written_off >= 0),
  PRIMARY KEY (tenant_id, sku, location),
  CONSTRAINT every_unit_is_somewhere CHECK (received = available + reserved + sold + written_off)
) WITH (fillfactor = 50);
SELECT {kernel}.wall('{inventory}.stock_items');

CREATE TABLE IF NOT EXISTS {inventory}.reservations (
  tenant_id uuid NOT NULL,
  order_id uuid NOT NULL,
  sku text NOT NULL,
  location text NOT NULL,
  quantity bigint NOT NULL CHECK (quantity > 0),
  state text NOT NULL CHECK (state IN ('reserved', 'sold', 'released')),
  expires_at timestamptz,
  reserved_at timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, order_id, sku, location)
) WITH (fillfactor = 80);
CREATE INDEX IF NOT EXISTS reservations_expiry ON {inventory}.reservations (tenant_id, expires_at)
  WHERE state = 'reserved' AND expires_at IS NOT NULL;
SELECT {kernel}.wall('{inventory}.reservations');

CREATE TABLE IF NOT EXISTS {inventory}.movements (
  tenant_id uuid NOT NULL,
  sku text NOT NULL,
  id bigint GENERATED ALWAYS AS IDENTITY,
  location text NOT NULL,
  kind text NOT NULL CHECK (kind IN ('receipt', 'write_off', 'sale', 'return', 'transfer_in', 'transfer_out')),
  quantity bigint NOT NULL CHECK (quantity > 0),
  reason text NOT NULL DEFAULT '',
  reference uuid,
  moved_at timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, sku, id)
);
SELECT {kernel}.wall('{inventory}.movements');
