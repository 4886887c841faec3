-- The second factor of an account: the secret that an authenticator shares, sealed, and spare codes.

CREATE TABLE IF NOT EXISTS {identity}.second_factors (
  tenant_id uuid NOT NULL,
  account_id uuid NOT NULL,
  sealed_secret text NOT NULL,
  last_step bigint NOT NULL,
  spares text[] NOT NULL,
  created_at timestamptz NOT NULL,
  confirmed_at timestamptz,
  PRIMARY KEY (tenant_id, account_id)
);
SELECT {kernel}.wall('{identity}.second_factors');
