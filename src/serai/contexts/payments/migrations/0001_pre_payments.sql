-- Payment intents, the refunds of what they captured, and what the provider is to be asked about.

CREATE SCHEMA IF NOT EXISTS {payments};
GRANT USAGE ON SCHEMA {payments} TO serai_app;

-- One intent an order, ever, hence under the order's id. No column that its way from requested to
-- captured changes is in an index, so that this update touches none (HOT); the fillfactor leaves the
-- room that its second version would take elsewhere. One index also leaves the planner no choice: a second one that led with the tenant would
-- look as good while the table is empty, and a plan made then lasts.
CREATE TABLE IF NOT EXISTS {payments}.intents (
  tenant_id uuid NOT NULL,
  order_id uuid NOT NULL,
  status text NOT NULL CHECK (status IN
    ('awaiting', 'requested', 'authorised', 'captured', 'declined', 'unknown', 'withdrawn')),
  amount_minor bigint NOT NULL CHECK (amount_minor >= 0),
  currency text NOT NULL CHECK (length(currency) = 3),
  -- The provider's token; forgotten as soon as nothing can be asked with it any more.
  card text,
  is_capture_manual boolean NOT NULL,
  -- How much the provider has been told to capture of what it holds; null while nothing was.
  capture_asked_minor bigint CHECK (capture_asked_minor BETWEEN 1 AND amount_minor),
  captured_minor bigint NOT NULL DEFAULT 0,
  -- The sum of the refunds that are requested or unknown.
  refunding_minor bigint NOT NULL DEFAULT 0 CHECK (refunding_minor >= 0),
  refunded_minor bigint NOT NULL DEFAULT 0 CHECK (refunded_minor >= 0),
  -- Of a withdrawn intent: nothing is held and nothing can be charged any more.
  is_closed boolean NOT NULL DEFAULT false,
  provider_ref text,
  reason text,
  correlation_id uuid NOT NULL,
  created_at timestamptz NOT NULL,
  asked_at timestamptz,
  settled_at timestamptz,
  version integer NOT NULL DEFAULT 1,
  PRIMARY KEY (tenant_id, order_id),
  CHECK (refunded_minor + refunding_minor <= captured_minor AND captured_minor <= amount_minor),
  CHECK (captured_minor = 0 OR status IN ('captured', 'declined', 'withdrawn')),
  CHECK (capture_asked_minor IS NULL OR status = 'authorised'),
  CHECK (card IS NOT NULL OR status NOT IN ('requested', 'unknown'))
) WITH (fillfactor = 50);
SELECT {kernel}.wall('{payments}.intents');

-- Whoever changes a refund holds the row lock of its intent, which is therefore the only lock.
CREATE TABLE IF NOT EXISTS {payments}.refunds (
  tenant_id uuid NOT NULL,
  refund_id uuid NOT NULL,
  order_id uuid NOT NULL,
  status text NOT NULL CHECK (status IN ('requested', 'settled', 'unknown', 'failed')),
  amount_minor bigint NOT NULL CHECK (amount_minor > 0),
  currency text NOT NULL CHECK (length(currency) = 3),
  reason text,
  failure text,
  -- Whether others were told of the capture, and are therefore told of the refund.
  is_told boolean NOT NULL,
  correlation_id uuid NOT NULL,
  created_at timestamptz NOT NULL,
  settled_at timestamptz,
  PRIMARY KEY (tenant_id, refund_id)
);
-- By order alone, for the planner's sake again; the tenant is compared in the row.
CREATE INDEX IF NOT EXISTS refunds_order ON {payments}.refunds (order_id);
SELECT {kernel}.wall('{payments}.refunds');

-- What the provider is to be asked about again, and when. A table of its own keeps the times out of
-- the intents' indexes; only what is open is in it. Infinity: given up, a person has to look.
CREATE TABLE IF NOT EXISTS {payments}.looks (
  tenant_id uuid NOT NULL,
  kind text NOT NULL CHECK (kind IN ('intent', 'refund')),
  thing_id uuid NOT NULL,
  looks integer NOT NULL DEFAULT 0,
  due_at timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, kind, thing_id)
) WITH (fillfactor = 70);
CREATE INDEX IF NOT EXISTS looks_due ON {payments}.looks (due_at);
SELECT {kernel}.wall('{payments}.looks');
