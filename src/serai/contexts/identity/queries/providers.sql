-- A provider is locked alone; a sign-in that is under way is taken by one statement.

-- name: insert_provider
-- Adds a provider unless there is one of its kind with this issuer.
INSERT INTO {identity}.providers
  (tenant_id, id, kind, name, issuer, client_id, sealed_secret, email_domains, is_enabled, version, created_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 1, $10)
ON CONFLICT DO NOTHING
RETURNING id;

-- name: list_providers
-- Lists a tenant's providers, oldest first.
SELECT id, kind, name, issuer, client_id, sealed_secret, email_domains, is_enabled, version, created_at
FROM {identity}.providers WHERE tenant_id = $1 ORDER BY id LIMIT $2;

-- name: find_provider
-- Reads one provider.
SELECT id, kind, name, issuer, client_id, sealed_secret, email_domains, is_enabled, version, created_at
FROM {identity}.providers WHERE tenant_id = $1 AND id = $2;

-- name: lock_provider
-- Locks and reads one provider.
SELECT id, kind, name, issuer, client_id, sealed_secret, email_domains, is_enabled, version, created_at
FROM {identity}.providers WHERE tenant_id = $1 AND id = $2 FOR UPDATE;

-- name: update_provider
-- Writes down what can change of a locked provider.
UPDATE {identity}.providers
SET name = $3, client_id = $4, sealed_secret = $5, email_domains = $6, is_enabled = $7, version = $8
WHERE tenant_id = $1 AND id = $2;

-- name: delete_provider
-- Deletes a locked provider.
DELETE FROM {identity}.providers WHERE tenant_id = $1 AND id = $2;

-- name: find_link
-- Tells whose account a provider means by a subject.
SELECT account_id FROM {identity}.provider_links
WHERE tenant_id = $1 AND kind = $2 AND issuer = $3 AND subject = $4;

-- name: insert_link
-- Notes whom a provider means by a subject, unless that is noted already.
INSERT INTO {identity}.provider_links (tenant_id, kind, issuer, subject, account_id, created_at)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT DO NOTHING
RETURNING account_id;

-- name: delete_links
-- Forgets every subject by which a provider means an account.
WITH wanted AS (
  SELECT tenant_id, kind, issuer, subject FROM {identity}.provider_links
  WHERE tenant_id = $1 AND account_id = $2
  ORDER BY tenant_id, kind, issuer, subject FOR UPDATE
)
DELETE FROM {identity}.provider_links l USING wanted
WHERE l.tenant_id = wanted.tenant_id AND l.kind = wanted.kind AND l.issuer = wanted.issuer
  AND l.subject = wanted.subject;

-- name: insert_try
-- Notes that a sign-in by a provider is under way.
INSERT INTO {identity}.provider_tries
  (tenant_id, state, provider_id, binding, sealed, redirect_uri, expires_at)
VALUES ($1, $2, $3, $4, $5, $6, $7);

-- name: delete_oldest_tries
-- Drops all but the newest sign-ins that are under way; who is at one lets it be.
WITH old AS (
  SELECT tenant_id, state FROM {identity}.provider_tries
  WHERE tenant_id = $1 AND sealed <> '' ORDER BY expires_at DESC OFFSET $2 LIMIT 100
), wanted AS (
  SELECT t.tenant_id, t.state FROM {identity}.provider_tries t
  JOIN old ON t.tenant_id = old.tenant_id AND t.state = old.state
  ORDER BY t.tenant_id, t.state FOR UPDATE OF t SKIP LOCKED
)
DELETE FROM {identity}.provider_tries t USING wanted
WHERE t.tenant_id = wanted.tenant_id AND t.state = wanted.state;

-- name: take_try
-- Deletes and reads a sign-in that is under way; of two at the same time one gets it.
DELETE FROM {identity}.provider_tries WHERE tenant_id = $1 AND state = $2
RETURNING provider_id, binding, sealed, redirect_uri, expires_at;

-- name: prune_tries
-- Deletes sign-ins that are over, a chunk at a time.
DELETE FROM {identity}.provider_tries b
USING (
  SELECT d.tenant_id, d.state FROM unnest($1::uuid[]) AS t(tenant_id)
  CROSS JOIN LATERAL (
    SELECT q.tenant_id, q.state FROM {identity}.provider_tries q
    WHERE q.tenant_id = t.tenant_id AND q.sealed <> '' AND q.expires_at < $2
    ORDER BY q.expires_at LIMIT $3
  ) AS d
  ORDER BY d.tenant_id, d.state LIMIT $3
) gone
WHERE b.tenant_id = gone.tenant_id AND b.state = gone.state;
