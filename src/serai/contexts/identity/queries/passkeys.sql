-- A passkey is locked after its account where both are; several of one account in the order of ids.

-- name: insert_passkey
-- Adds a passkey unless the tenant knows its credential already.
INSERT INTO {identity}.passkeys
  (tenant_id, id, account_id, credential_id, public_key, rp_id, sign_count, is_backed_up, name,
   created_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
ON CONFLICT DO NOTHING
RETURNING id;

-- name: list_passkeys
-- Lists the passkeys of an account, oldest first.
SELECT id, account_id, credential_id, public_key, rp_id, sign_count, is_backed_up, name, created_at, used_at
FROM {identity}.passkeys WHERE tenant_id = $1 AND account_id = $2 ORDER BY id LIMIT $3;

-- name: find_passkey
-- Reads the passkey of a credential.
SELECT id, account_id, credential_id, public_key, rp_id, sign_count, is_backed_up, name, created_at, used_at
FROM {identity}.passkeys WHERE tenant_id = $1 AND credential_id = $2;

-- name: lock_passkey
-- Locks and reads one passkey of an account.
SELECT id, account_id, credential_id, public_key, rp_id, sign_count, is_backed_up, name, created_at, used_at
FROM {identity}.passkeys WHERE tenant_id = $1 AND id = $2 AND account_id = $3 FOR UPDATE;

-- name: update_passkey
-- Writes down what can change of a locked passkey.
UPDATE {identity}.passkeys SET sign_count = $3, is_backed_up = $4, name = $5, used_at = $6
WHERE tenant_id = $1 AND id = $2;

-- name: delete_passkey
-- Deletes a locked passkey.
DELETE FROM {identity}.passkeys WHERE tenant_id = $1 AND id = $2;

-- name: delete_passkeys
-- Deletes every passkey of an account.
WITH wanted AS (
  SELECT tenant_id, id FROM {identity}.passkeys
  WHERE tenant_id = $1 AND account_id = $2 ORDER BY tenant_id, id FOR UPDATE
)
DELETE FROM {identity}.passkeys p USING wanted
WHERE p.tenant_id = wanted.tenant_id AND p.id = wanted.id;

-- name: insert_challenge
-- Notes what is to be signed next.
INSERT INTO {identity}.passkey_challenges
  (tenant_id, id, account_id, challenge, origin, rp_id, expires_at)
VALUES ($1, $2, $3, $4, $5, $6, $7);

-- name: delete_oldest_challenges
-- Drops all but the newest challenges of an account, or of nobody; who is at one lets it be.
WITH old AS (
  SELECT tenant_id, id FROM {identity}.passkey_challenges
  WHERE tenant_id = $1 AND account_id = $2 ORDER BY id DESC OFFSET $3 LIMIT 100
), wanted AS (
  SELECT c.tenant_id, c.id FROM {identity}.passkey_challenges c
  JOIN old ON c.tenant_id = old.tenant_id AND c.id = old.id
  ORDER BY c.tenant_id, c.id FOR UPDATE OF c SKIP LOCKED
)
DELETE FROM {identity}.passkey_challenges c USING wanted
WHERE c.tenant_id = wanted.tenant_id AND c.id = wanted.id;

-- name: take_challenge
-- Deletes and reads a challenge of an account, or of nobody; of two at the same time one gets it.
DELETE FROM {identity}.passkey_challenges
WHERE tenant_id = $1 AND id = $2 AND account_id = $3
RETURNING challenge, origin, rp_id, expires_at;

-- name: prune_challenges
-- Deletes challenges that are over, a chunk at a time.
DELETE FROM {identity}.passkey_challenges c
USING (
  SELECT d.tenant_id, d.id FROM unnest($1::uuid[]) AS t(tenant_id)
  CROSS JOIN LATERAL (
    SELECT q.tenant_id, q.id FROM {identity}.passkey_challenges q
    WHERE q.tenant_id = t.tenant_id AND q.origin <> '' AND q.expires_at < $2
    ORDER BY q.expires_at LIMIT $3
  ) AS d
  ORDER BY d.tenant_id, d.id LIMIT $3
) gone
WHERE c.tenant_id = gone.tenant_id AND c.id = gone.id;

-- name: list_factor_roles
-- Lists the roles that ask for a second factor.
SELECT role FROM {identity}.factor_roles WHERE tenant_id = $1 ORDER BY role LIMIT $2;

-- name: delete_factor_roles
-- Drops the roles that do not ask for a second factor any more; the tenant's roles are locked.
DELETE FROM {identity}.factor_roles WHERE tenant_id = $1 AND role <> ALL ($2::text[]);

-- name: insert_factor_roles
-- Adds the roles that ask for a second factor and did not.
INSERT INTO {identity}.factor_roles (tenant_id, role)
SELECT $1, r.role FROM unnest($2::text[]) AS r(role) ORDER BY r.role
ON CONFLICT DO NOTHING;
