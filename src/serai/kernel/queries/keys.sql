-- name: claim_keys
-- Claims idempotency keys; a key that was claimed before, or twice here, comes back once at most.
INSERT INTO {kernel}.idempotency_keys (tenant_id, key, fingerprint, created_at)
SELECT k.tenant_id, k.key, k.fingerprint, $4
FROM unnest($1::uuid[], $2::text[], $3::bytea[]) AS k(tenant_id, key, fingerprint)
ORDER BY k.tenant_id, k.key
ON CONFLICT DO NOTHING
RETURNING tenant_id, key;

-- name: find_answers
-- Reads what was answered under idempotency keys.
SELECT k.tenant_id, k.key, k.fingerprint, k.answer
FROM {kernel}.idempotency_keys k
JOIN unnest($1::uuid[], $2::text[]) AS w(tenant_id, key) ON k.tenant_id = w.tenant_id AND k.key = w.key;

-- name: store_answers
-- Keeps what was answered under idempotency keys.
UPDATE {kernel}.idempotency_keys k SET answer = a.answer
FROM unnest($1::uuid[], $2::text[], $3::bytea[]) AS a(tenant_id, key, answer)
WHERE k.tenant_id = a.tenant_id AND k.key = a.key;

-- name: release_keys
-- Gives back idempotency keys of requests that were refused: nothing was done under them.
DELETE FROM {kernel}.idempotency_keys k
USING unnest($1::uuid[], $2::text[]) AS a(tenant_id, key)
WHERE k.tenant_id = a.tenant_id AND k.key = a.key;
