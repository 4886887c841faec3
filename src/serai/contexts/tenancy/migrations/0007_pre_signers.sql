-- An API key may take signed requests only: `signer` is the Ed25519 key that they must be signed by, and
-- a nonce is kept until its signature is over, so that no request is carried out twice. Workers drop
-- what is over for every tenant.

ALTER TABLE {tenancy}.api_keys ADD COLUMN IF NOT EXISTS signer bytea
  CHECK (octet_length(signer) = 32);

CREATE TABLE IF NOT EXISTS {tenancy}.signature_nonces (
  tenant_id uuid NOT NULL,
  key_id uuid NOT NULL,
  nonce text NOT NULL CHECK (char_length(nonce) BETWEEN 16 AND 64),
  kept_until timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, key_id, nonce)
);
CREATE INDEX IF NOT EXISTS signature_nonces_over
  ON {tenancy}.signature_nonces (kept_until, tenant_id);
SELECT {kernel}.wall_transport('{tenancy}.signature_nonces');
