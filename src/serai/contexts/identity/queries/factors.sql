-- A second factor is locked after its account.

-- name: save_factor
-- Writes an account's second factor that is not confirmed yet, over an earlier one of that kind.
INSERT INTO {identity}.second_factors
  (tenant_id, account_id, sealed_secret, last_step, spares, created_at)
VALUES ($1, $2, $3, 0, '{}', $4)
ON CONFLICT (tenant_id, account_id) DO UPDATE
SET sealed_secret = EXCLUDED.sealed_secret, created_at = EXCLUDED.created_at
WHERE second_factors.confirmed_at IS NULL
RETURNING account_id;

-- name: lock_factor
-- Locks and reads an account's second factor.
SELECT account_id, sealed_secret, last_step, spares, confirmed_at
FROM {identity}.second_factors WHERE tenant_id = $1 AND account_id = $2 FOR UPDATE;

-- name: find_factor
-- Tells since when an account has a second factor.
SELECT confirmed_at FROM {identity}.second_factors WHERE tenant_id = $1 AND account_id = $2;

-- name: update_factor
-- Writes down what has been used of a locked second factor, and that it is confirmed.
UPDATE {identity}.second_factors SET last_step = $3, spares = $4, confirmed_at = $5
WHERE tenant_id = $1 AND account_id = $2;

-- name: delete_factor
-- Takes an account's second factor away.
DELETE FROM {identity}.second_factors WHERE tenant_id = $1 AND account_id = $2;
