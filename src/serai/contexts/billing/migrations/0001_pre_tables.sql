-- What tenants owe the operator: their plans, what they used, and the invoices of their months.

CREATE SCHEMA IF NOT EXISTS {billing};
GRANT USAGE ON SCHEMA {billing} TO serai_app;

-- Jobs look for accounts whose month is over, so the transport sees them all; the same for invoices
-- whose money is due.
CREATE TABLE IF NOT EXISTS {billing}.accounts (
  tenant_id uuid PRIMARY KEY,
  zone text NOT NULL,
  card text,
  period date,
  close_at timestamptz,
  CHECK ((period IS NULL) = (close_at IS NULL)),
  CHECK (period = date_trunc('month', period))
);
CREATE INDEX IF NOT EXISTS accounts_due ON {billing}.accounts (close_at) WHERE close_at IS NOT NULL;
SELECT {kernel}.wall_transport('{billing}.accounts');

CREATE TABLE IF NOT EXISTS {billing}.segments (
  tenant_id uuid NOT NULL,
  number integer NOT NULL CHECK (number > 0),
  plan json NOT NULL,
  since date NOT NULL,
  until date CHECK (until > since),
  PRIMARY KEY (tenant_id, number)
);
CREATE UNIQUE INDEX IF NOT EXISTS segments_open ON {billing}.segments (tenant_id) WHERE until IS NULL;
SELECT {kernel}.wall('{billing}.segments');

CREATE TABLE IF NOT EXISTS {billing}.usage (
  tenant_id uuid NOT NULL,
  meter text NOT NULL,
  slot timestamptz NOT NULL,
  counted bigint NOT NULL CHECK (counted > 0),
  PRIMARY KEY (tenant_id, meter, slot)
) WITH (fillfactor = 70);
SELECT {kernel}.wall('{billing}.usage');

-- What was taken of a month's quota, in the transaction that placed the orders. `granted` is what the
-- latest taking got.
CREATE TABLE IF NOT EXISTS {billing}.allowances (
  tenant_id uuid NOT NULL,
  meter text NOT NULL,
  period date NOT NULL,
  most bigint NOT NULL,
  granted bigint NOT NULL,
  taken bigint NOT NULL CHECK (taken >= 0),
  PRIMARY KEY (tenant_id, meter, period)
) WITH (fillfactor = 50);
SELECT {kernel}.wall('{billing}.allowances');

CREATE TABLE IF NOT EXISTS {billing}.invoices (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  period date NOT NULL,
  currency text NOT NULL,
  total_minor bigint NOT NULL CHECK (total_minor >= 0),
  lines json NOT NULL,
  status text NOT NULL CHECK (status IN ('open', 'paid', 'unpaid')),
  attempt integer NOT NULL CHECK (attempt > 0),
  try_at timestamptz,
  reason text,
  closed_at timestamptz NOT NULL,
  paid_at timestamptz,
  PRIMARY KEY (tenant_id, id),
  UNIQUE (tenant_id, period),
  CHECK ((status = 'paid') = (paid_at IS NOT NULL))
);
CREATE INDEX IF NOT EXISTS invoices_due ON {billing}.invoices (try_at) WHERE try_at IS NOT NULL;
SELECT {kernel}.wall_transport('{billing}.invoices');
