-- The signing keys lie in the pooled home, under the platform's own tenant; they are few.

-- name: list_signing_keys
-- Lists the signing keys by number.
SELECT number, id, public_key, sealed_key, created_at, signs_from, revoked_at
FROM {identity}.signing_keys WHERE tenant_id = $1 ORDER BY number LIMIT 1000;

-- name: insert_signing_key
-- Adds a signing key unless another process was faster with its number.
INSERT INTO {identity}.signing_keys
  (tenant_id, number, id, public_key, sealed_key, created_at, signs_from)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT DO NOTHING
RETURNING number;

-- name: revoke_signing_keys
-- Ends every signing key that has not been ended.
WITH wanted AS (
  SELECT tenant_id, number FROM {identity}.signing_keys
  WHERE tenant_id = $1 AND revoked_at IS NULL ORDER BY tenant_id, number FOR UPDATE
)
UPDATE {identity}.signing_keys k SET revoked_at = $2
FROM wanted WHERE k.tenant_id = wanted.tenant_id AND k.number = wanted.number;

-- name: delete_signing_keys
-- Deletes signing keys by number.
WITH wanted AS (
  SELECT tenant_id, number FROM {identity}.signing_keys
  WHERE tenant_id = $1 AND number = ANY ($2::int[]) ORDER BY tenant_id, number FOR UPDATE
)
DELETE FROM {identity}.signing_keys k USING wanted
WHERE k.tenant_id = wanted.tenant_id AND k.number = wanted.number;

-- name: prune_sessions
-- Deletes sessions that were over by the given time, a chunk at a time.
DELETE FROM {identity}.sessions s
USING (
  SELECT d.tenant_id, d.id FROM unnest($1::uuid[]) AS t(tenant_id)
  CROSS JOIN LATERAL (
    SELECT q.tenant_id, q.id FROM {identity}.sessions q
    WHERE q.tenant_id = t.tenant_id AND q.used_at > '-infinity' AND q.expires_at < $2
    ORDER BY q.expires_at LIMIT $3
  ) AS d
  ORDER BY d.tenant_id, d.id LIMIT $3
) gone
WHERE s.tenant_id = gone.tenant_id AND s.id = gone.id;

-- name: prune_mail_tokens
-- Deletes mailed tokens that were over by the given time, a chunk at a time.
DELETE FROM {identity}.mail_tokens m
USING (
  SELECT d.tenant_id, d.id FROM unnest($1::uuid[]) AS t(tenant_id)
  CROSS JOIN LATERAL (
    SELECT q.tenant_id, q.id FROM {identity}.mail_tokens q
    WHERE q.tenant_id = t.tenant_id AND q.purpose <> '' AND q.expires_at < $2
    ORDER BY q.expires_at LIMIT $3
  ) AS d
  ORDER BY d.tenant_id, d.id LIMIT $3
) gone
WHERE m.tenant_id = gone.tenant_id AND m.id = gone.id;

-- name: prune_throttles
-- Deletes buckets that are full, a chunk at a time: a bucket that is not there is full.
DELETE FROM {identity}.throttles b
USING (
  SELECT d.tenant_id, d.bucket FROM unnest($1::uuid[]) AS t(tenant_id)
  CROSS JOIN LATERAL (
    SELECT q.tenant_id, q.bucket FROM {identity}.throttles q
    WHERE q.tenant_id = t.tenant_id AND q.bucket <> '' AND q.full_at < $2
    ORDER BY q.full_at LIMIT $3
  ) AS d
  ORDER BY d.tenant_id, d.bucket LIMIT $3
) gone
WHERE b.tenant_id = gone.tenant_id AND b.bucket = gone.bucket AND b.full_at < $2;

-- name: read_clock
-- Reads the database's clock: an answer shows that the line is up and that nothing told is missing.
SELECT now();
