-- Where an app may be called back at when it has signed a customer out (OpenID RP-Initiated Logout), and
-- tokens of apps that come by themselves which were revoked before their time (RFC 7009).

ALTER TABLE {identity}.apps ADD COLUMN IF NOT EXISTS post_logout_redirect_uris text[] NOT NULL DEFAULT '{}';

-- By the id of a token (jti). Read when a token is looked up, which is once in half a minute at most; a
-- token that is over by itself needs no row.
CREATE TABLE IF NOT EXISTS {identity}.revoked_tokens (
  tenant_id uuid NOT NULL,
  app_id uuid NOT NULL,
  id uuid NOT NULL,
  expires_at timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, app_id, id)
);
CREATE INDEX IF NOT EXISTS revoked_tokens_expiry ON {identity}.revoked_tokens (tenant_id, expires_at)
  WHERE expires_at > '-infinity';
SELECT {kernel}.wall('{identity}.revoked_tokens');
