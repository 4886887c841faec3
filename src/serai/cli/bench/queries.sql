-- The tables of the careful baseline, in the shape of the shop's own, without its walls and batches;
-- and what the benchmark asks the server about itself.

-- name: create_schema
-- Makes a place for the baseline's tables.
CREATE SCHEMA {bench};

-- name: create_api_keys
-- Makes the table of API keys.
CREATE TABLE {bench}.api_keys (
  digest bytea PRIMARY KEY,
  key_id uuid NOT NULL,
  tenant_id uuid NOT NULL,
  scopes text[] NOT NULL
);

-- name: create_variants
-- Makes the table of what is for sale.
CREATE TABLE {bench}.variants (
  tenant_id uuid NOT NULL,
  sku text NOT NULL,
  title text NOT NULL,
  status text NOT NULL CHECK (status IN ('draft', 'published', 'archived')),
  PRIMARY KEY (tenant_id, sku)
);

-- name: create_prices
-- Makes the table of prices.
CREATE TABLE {bench}.prices (
  tenant_id uuid NOT NULL,
  sku text NOT NULL,
  currency text NOT NULL,
  unit_price numeric(24, 6) NOT NULL CHECK (unit_price >= 0),
  PRIMARY KEY (tenant_id, sku, currency)
);

-- name: create_stock_items
-- Makes the table of stock.
CREATE TABLE {bench}.stock_items (
  tenant_id uuid NOT NULL,
  sku text NOT NULL,
  received bigint NOT NULL,
  available bigint NOT NULL CHECK (available >= 0),
  reserved bigint NOT NULL DEFAULT 0 CHECK (reserved >= 0),
  PRIMARY KEY (tenant_id, sku),
  CHECK (received = available + reserved)
) WITH (fillfactor = 50);

-- name: create_idempotency_keys
-- Makes the table of idempotency keys.
CREATE TABLE {bench}.idempotency_keys (
  tenant_id uuid NOT NULL,
  key text NOT NULL,
  fingerprint bytea NOT NULL,
  answer bytea,
  created_at timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, key)
) WITH (fillfactor = 60);

-- name: create_orders
-- Makes the table of orders.
CREATE TABLE {bench}.orders (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  status text NOT NULL CHECK (status IN ('placed', 'confirmed', 'cancelled')),
  currency text NOT NULL,
  total_minor bigint NOT NULL CHECK (total_minor >= 0),
  card text,
  email text,
  version integer NOT NULL DEFAULT 1,
  placed_at timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, id)
) WITH (fillfactor = 70);

-- name: create_lines
-- Makes the table of the orders' lines.
CREATE TABLE {bench}.lines (
  tenant_id uuid NOT NULL,
  order_id uuid NOT NULL,
  line_no integer NOT NULL,
  sku text NOT NULL,
  quantity bigint NOT NULL CHECK (quantity > 0),
  unit_price numeric(24, 6) NOT NULL CHECK (unit_price >= 0),
  amount_minor bigint NOT NULL CHECK (amount_minor >= 0),
  PRIMARY KEY (tenant_id, order_id, line_no)
) WITH (fillfactor = 80);

-- name: create_outbox
-- Makes the table of what is to be announced.
CREATE TABLE {bench}.outbox (
  topic text NOT NULL,
  seq bigint GENERATED ALWAYS AS IDENTITY,
  tenant_id uuid NOT NULL,
  event_id uuid NOT NULL,
  type text NOT NULL,
  key uuid NOT NULL,
  occurred_at timestamptz NOT NULL,
  data json NOT NULL,
  PRIMARY KEY (topic, seq)
);

-- name: insert_api_key
-- Lets one client in.
INSERT INTO {bench}.api_keys (digest, key_id, tenant_id, scopes) VALUES ($1, $2, $3, $4);

-- name: insert_variants
-- Puts goods on sale.
INSERT INTO {bench}.variants (tenant_id, sku, title, status)
SELECT $1, v.sku, v.sku, 'published' FROM unnest($2::text[]) AS v(sku);

-- name: insert_prices
-- Gives all goods the same price in one currency.
INSERT INTO {bench}.prices (tenant_id, sku, currency, unit_price)
SELECT $1, p.sku, $3, $4 FROM unnest($2::text[]) AS p(sku);

-- name: insert_stock_items
-- Receives the same number of units of all goods.
INSERT INTO {bench}.stock_items (tenant_id, sku, received, available)
SELECT $1, s.sku, $3, $3 FROM unnest($2::text[]) AS s(sku);

-- name: find_api_key
-- Looks an API key up by what is kept of it.
SELECT key_id, tenant_id, scopes FROM {bench}.api_keys WHERE digest = $1;

-- name: claim_key
-- Claims an idempotency key; waits for another request with the same key.
INSERT INTO {bench}.idempotency_keys (tenant_id, key, fingerprint, created_at)
VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING RETURNING key;

-- name: find_answer
-- Reads what was answered under an idempotency key.
SELECT fingerprint, answer FROM {bench}.idempotency_keys WHERE tenant_id = $1 AND key = $2;

-- name: list_quotes
-- Reads state and price of an order's SKUs.
SELECT v.sku, v.status, p.unit_price
FROM {bench}.variants v
LEFT JOIN {bench}.prices p ON p.tenant_id = v.tenant_id AND p.sku = v.sku AND p.currency = $3
WHERE v.tenant_id = $1 AND v.sku = ANY ($2::text[]);

-- name: lock_stock_items
-- Locks the stock of an order's SKUs, in SKU order, so that two orders never wait for each other.
SELECT sku, available FROM {bench}.stock_items
WHERE tenant_id = $1 AND sku = ANY ($2::text[]) ORDER BY sku FOR UPDATE;

-- name: reserve_stock
-- Promises units to an order.
UPDATE {bench}.stock_items s
SET available = s.available - w.quantity, reserved = s.reserved + w.quantity
FROM unnest($2::text[], $3::bigint[]) AS w(sku, quantity)
WHERE s.tenant_id = $1 AND s.sku = w.sku;

-- name: insert_order
-- Writes an order.
INSERT INTO {bench}.orders (tenant_id, id, status, currency, total_minor, card, email, placed_at)
VALUES ($1, $2, 'placed', $3, $4, $5, $6, $7);

-- name: insert_lines
-- Writes the lines of an order.
INSERT INTO {bench}.lines (tenant_id, order_id, line_no, sku, quantity, unit_price, amount_minor)
SELECT $1, $2, l.line_no, l.sku, l.quantity, l.unit_price, l.amount_minor
FROM unnest($3::int[], $4::text[], $5::bigint[], $6::numeric[], $7::bigint[])
  AS l(line_no, sku, quantity, unit_price, amount_minor);

-- name: append_event
-- Writes the event that the order was placed.
INSERT INTO {bench}.outbox (topic, tenant_id, event_id, type, key, occurred_at, data)
VALUES ('orders', $1, $2, 'orders.order_placed.v1', $3, $4, $5);

-- name: store_answer
-- Keeps the answer beside its idempotency key.
UPDATE {bench}.idempotency_keys SET answer = $3 WHERE tenant_id = $1 AND key = $2;

-- name: count_oversold
-- Counts the units that orders were promised and that were never there.
SELECT COALESCE(sum(greatest(o.ordered - s.received, abs(o.ordered - s.reserved))), 0)::bigint
FROM {bench}.stock_items s
JOIN (SELECT tenant_id, sku, sum(quantity) AS ordered FROM {bench}.lines GROUP BY 1, 2) o
  ON o.tenant_id = s.tenant_id AND o.sku = s.sku
WHERE o.ordered > s.received OR o.ordered <> s.reserved;

-- name: reset_statements
-- Forgets what was counted of statements so far.
SELECT pg_stat_statements_reset();

-- name: list_statements
-- Lists what one role's statements have cost since the last reset, the dearest first.
SELECT query, calls, total_exec_time AS total_ms, rows
FROM pg_stat_statements(true) WHERE userid = $1::text::regrole
ORDER BY total_exec_time DESC;

-- name: create_notes
-- Makes a table in every home, as a migration would.
CREATE TABLE IF NOT EXISTS {bench}.notes (tenant_id uuid NOT NULL, id uuid NOT NULL, PRIMARY KEY (tenant_id, id));
