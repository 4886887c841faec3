-- Accounts are locked one at a time; the roles of a tenant, by an advisory lock, before any of them.

-- name: insert_account
-- Adds an account unless its kind has one of that address, which one from before keeps in clear.
INSERT INTO {identity}.accounts
  (tenant_id, id, kind, email, email_key, name, password_hash, roles, created_at)
SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9
WHERE NOT EXISTS (
  SELECT 1 FROM {identity}.accounts a WHERE a.tenant_id = $1 AND a.kind = $3 AND a.email_key = $10)
ON CONFLICT DO NOTHING
RETURNING id;

-- name: find_named_account
-- Reads the account of an address, by its digest or, from before, by the address itself.
SELECT tenant_id, id, kind, email, name, password_hash, roles, version, created_at, suspended_at
FROM {identity}.accounts WHERE tenant_id = $1 AND kind = $2 AND email_key = ANY ($3::text[]) LIMIT 1;

-- name: find_account
-- Reads one account.
SELECT tenant_id, id, kind, email, name, password_hash, roles, version, created_at, suspended_at
FROM {identity}.accounts WHERE tenant_id = $1 AND id = $2;

-- name: lock_account
-- Locks and reads one account.
SELECT tenant_id, id, kind, email, name, password_hash, roles, version, created_at, suspended_at
FROM {identity}.accounts WHERE tenant_id = $1 AND id = $2 FOR UPDATE;

-- name: update_account
-- Writes down what can change of a locked account.
UPDATE {identity}.accounts
SET password_hash = $3, roles = $4, version = $5, suspended_at = $6
WHERE tenant_id = $1 AND id = $2;

-- name: list_accounts
-- Lists a tenant's accounts of one kind, newest first, a page at a time.
SELECT tenant_id, id, kind, email, name, password_hash, roles, version, created_at, suspended_at
FROM {identity}.accounts WHERE tenant_id = $1 AND kind = $2 AND id < $3
ORDER BY id DESC LIMIT $4;

-- name: count_seats
-- Counts the members of the staff who are not suspended.
SELECT count(*)::int AS counted FROM {identity}.accounts
WHERE tenant_id = $1 AND kind = 'staff' AND suspended_at IS NULL;

-- name: count_accounts_with_role
-- Counts, up to a bound, the accounts but one that have a role: all, or those who can sign in.
SELECT count(*)::int AS found FROM (
  SELECT a.id FROM {identity}.accounts a
  WHERE a.tenant_id = $1 AND $2 = ANY (a.roles) AND a.id <> $5
    AND ($4::boolean OR (a.suspended_at IS NULL AND (
      a.password_hash IS NOT NULL
      OR EXISTS (SELECT FROM {identity}.passkeys p WHERE p.tenant_id = $1 AND p.account_id = a.id)
      OR EXISTS (
        SELECT FROM {identity}.provider_links l WHERE l.tenant_id = $1 AND l.account_id = a.id
      )
    )))
  LIMIT $3
) AS holders;

-- name: lock_roles
-- Keeps the roles of a tenant, and who of the staff has them, to this transaction until it ends.
SELECT pg_advisory_xact_lock(hashtextextended('serai_identity_roles ' || $1::uuid::text, 0));

-- name: list_roles
-- Lists a tenant's own roles by name.
SELECT name, scopes, version, conditions FROM {identity}.roles WHERE tenant_id = $1 ORDER BY name LIMIT $2;

-- name: save_role
-- Makes a role or writes over it.
INSERT INTO {identity}.roles (tenant_id, name, scopes, version, updated_at, conditions)
VALUES ($1, $2, $3, 1, $4, $5)
ON CONFLICT (tenant_id, name) DO UPDATE
SET scopes = EXCLUDED.scopes, version = roles.version + 1, updated_at = EXCLUDED.updated_at,
  conditions = EXCLUDED.conditions
RETURNING name, scopes, version, conditions;

-- name: delete_role
-- Deletes a role.
DELETE FROM {identity}.roles WHERE tenant_id = $1 AND name = $2;
