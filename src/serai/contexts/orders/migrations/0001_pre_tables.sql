-- Orders and their lines. `goods` repeats the lines as the events carry them, so that the hot path
-- reads one row an order.

CREATE SCHEMA IF NOT EXISTS {orders};
GRANT USAGE ON SCHEMA {orders} TO serai_app;

CREATE TABLE IF NOT EXISTS {orders}.orders (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  status text NOT NULL CHECK (status IN ('placed', 'confirmed', 'cancelled')),
  reason text CHECK (reason IN ('out_of_stock', 'payment_declined', 'expired', 'requested')),
  is_cancelling boolean NOT NULL DEFAULT false,
  currency text NOT NULL,
  total_minor bigint NOT NULL CHECK (total_minor >= 0),
  captured_minor bigint NOT NULL DEFAULT 0 CHECK (captured_minor BETWEEN 0 AND total_minor),
  refunded_minor bigint NOT NULL DEFAULT 0 CHECK (refunded_minor BETWEEN 0 AND captured_minor),
  reference text,
  customer text,
  email text,
  goods json NOT NULL,
  version integer NOT NULL DEFAULT 1,
  placed_at timestamptz NOT NULL,
  settled_at timestamptz,
  PRIMARY KEY (tenant_id, id),
  CHECK ((status = 'cancelled') = (reason IS NOT NULL))
) WITH (fillfactor = 70);
CREATE INDEX IF NOT EXISTS orders_reference ON {orders}.orders (tenant_id, reference, id)
  WHERE reference IS NOT NULL;
CREATE INDEX IF NOT EXISTS orders_customer ON {orders}.orders (tenant_id, customer, id)
  WHERE customer IS NOT NULL;
SELECT {kernel}.wall('{orders}.orders');

CREATE TABLE IF NOT EXISTS {orders}.lines (
  tenant_id uuid NOT NULL,
  order_id uuid NOT NULL,
  line_no integer NOT NULL,
  sku text NOT NULL,
  quantity bigint NOT NULL CHECK (quantity > 0),
  unit_price numeric(24, 6) NOT NULL CHECK (unit_price >= 0),
  amount_minor bigint NOT NULL CHECK (amount_minor >= 0),
  shipped bigint NOT NULL DEFAULT 0 CHECK (shipped BETWEEN 0 AND quantity),
  returned bigint NOT NULL DEFAULT 0 CHECK (returned BETWEEN 0 AND quantity),
  PRIMARY KEY (tenant_id, order_id, line_no)
) WITH (fillfactor = 80);
SELECT {kernel}.wall('{orders}.lines');
