-- Tenants are locked in the order of their ids.

-- name: insert_tenants
-- Adds tenants whose name is free; the others do not come back.
INSERT INTO {tenancy}.tenants (tenant_id, name, home, home_database, home_prefix, created_at)
SELECT t.tenant_id, t.name, t.home, t.home_database, t.home_prefix, $6
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[])
  AS t(tenant_id, name, home, home_database, home_prefix)
ORDER BY t.name
ON CONFLICT DO NOTHING
RETURNING tenant_id;

-- name: insert_unproven
-- Adds tenants whose name is free and whose owner is yet to be proven; the others do not come back.
INSERT INTO {tenancy}.tenants
  (tenant_id, name, home, home_database, home_prefix, created_at, state)
SELECT t.tenant_id, t.name, $3, $4, $5, $6, 'unproven'
FROM unnest($1::uuid[], $2::text[]) AS t(tenant_id, name)
ORDER BY t.name
ON CONFLICT DO NOTHING
RETURNING tenant_id;

-- name: prove_tenants
-- Lets unproven tenants in; those that it let in come back.
WITH wanted AS (
  SELECT tenant_id FROM {tenancy}.tenants
  WHERE tenant_id = ANY ($1::uuid[]) AND state = 'unproven'
  ORDER BY tenant_id FOR UPDATE
)
UPDATE {tenancy}.tenants t SET state = 'active'
FROM wanted WHERE t.tenant_id = wanted.tenant_id
RETURNING t.tenant_id;

-- name: expire_tenants
-- Gives tenants up that nobody has proven in time.
WITH wanted AS (
  SELECT tenant_id FROM {tenancy}.tenants
  WHERE tenant_id = ANY ($1::uuid[]) AND state = 'unproven'
  ORDER BY tenant_id FOR UPDATE
)
UPDATE {tenancy}.tenants t SET state = 'expired'
FROM wanted WHERE t.tenant_id = wanted.tenant_id;

-- name: list_expired
-- Lists tenants that were given up, the oldest first.
SELECT tenant_id FROM {tenancy}.tenants WHERE state = 'expired' ORDER BY tenant_id LIMIT $1;

-- name: delete_expired
-- Takes a tenant that was given up out of the directory: its name is free.
DELETE FROM {tenancy}.tenants WHERE tenant_id = $1 AND state = 'expired';

-- name: insert_keys
-- Adds API keys; the scopes of each travel as one text, with a space between two.
INSERT INTO {tenancy}.api_keys (tenant_id, key_id, label, digest, scopes, created_at, signer)
SELECT k.tenant_id, k.key_id, k.label, k.digest, string_to_array(k.scopes, ' '), $6, k.signer
FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::bytea[], $5::text[], $7::bytea[])
  AS k(tenant_id, key_id, label, digest, scopes, signer)
ORDER BY k.tenant_id, k.key_id;

-- name: lock_tenants
-- Locks tenants against a second change of their keys.
SELECT tenant_id FROM {tenancy}.tenants
WHERE tenant_id = ANY ($1::uuid[])
ORDER BY tenant_id FOR UPDATE;

-- name: count_keys
-- Counts the valid API keys of tenants.
SELECT tenant_id, count(*)::int AS valid FROM {tenancy}.api_keys
WHERE tenant_id = ANY ($1::uuid[]) AND revoked_at IS NULL
GROUP BY tenant_id;

-- name: revoke_keys
-- Ends API keys; the time of the first ending stays.
WITH wanted AS (
  SELECT k.tenant_id, k.key_id FROM {tenancy}.api_keys k
  JOIN unnest($1::uuid[], $2::uuid[]) AS w(tenant_id, key_id)
    ON k.tenant_id = w.tenant_id AND k.key_id = w.key_id
  ORDER BY k.tenant_id, k.key_id FOR UPDATE OF k
)
UPDATE {tenancy}.api_keys k SET revoked_at = COALESCE(k.revoked_at, $3)
FROM wanted WHERE k.tenant_id = wanted.tenant_id AND k.key_id = wanted.key_id
RETURNING k.key_id, k.label, k.scopes, k.created_at, k.revoked_at, k.signer;

-- name: lock_key
-- Locks an API key that is valid against a second change.
SELECT key_id, label, scopes, created_at, revoked_at, signer FROM {tenancy}.api_keys
WHERE tenant_id = $1 AND key_id = $2 AND revoked_at IS NULL FOR UPDATE;

-- name: set_signer
-- Says by whom requests with an API key, which the transaction has locked, must be signed.
UPDATE {tenancy}.api_keys SET signer = $3 WHERE tenant_id = $1 AND key_id = $2;

-- name: take_nonces
-- Writes down the nonces of signatures; those that were used before do not come back.
INSERT INTO {tenancy}.signature_nonces (tenant_id, key_id, nonce, kept_until)
SELECT n.tenant_id, n.key_id, n.nonce, n.kept_until
FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::timestamptz[])
  AS n(tenant_id, key_id, nonce, kept_until)
ORDER BY n.tenant_id, n.key_id, n.nonce
ON CONFLICT DO NOTHING
RETURNING key_id, nonce;

-- name: drop_nonces
-- Drops nonces whose signatures are over, a chunk at a time.
DELETE FROM {tenancy}.signature_nonces
WHERE (tenant_id, key_id, nonce) IN (
  SELECT tenant_id, key_id, nonce FROM {tenancy}.signature_nonces WHERE kept_until < $1
  ORDER BY kept_until LIMIT $2);

-- name: tell_changes
-- Tells every process that listens, once this is committed, which API keys have ended or changed.
SELECT pg_notify('serai_keys', k.key_id::text) FROM unnest($1::uuid[]) AS k(key_id);

-- name: find_key
-- Reads one API key and where its tenant lives.
SELECT k.tenant_id, k.key_id, k.digest, k.scopes, k.revoked_at, k.signer,
       t.home, t.home_database, t.home_prefix, t.state
FROM {tenancy}.api_keys k
JOIN {tenancy}.tenants t ON t.tenant_id = k.tenant_id
WHERE k.tenant_id = $1 AND k.key_id = $2;

-- name: list_keys
-- Lists a tenant's API keys, newest first, a page at a time.
SELECT key_id, label, scopes, created_at, revoked_at, signer FROM {tenancy}.api_keys
WHERE tenant_id = $1 AND ($2::uuid IS NULL OR key_id < $2)
ORDER BY tenant_id DESC, key_id DESC LIMIT $3;

-- name: find_tenant
-- Reads one tenant.
SELECT tenant_id, name, home, home_database, home_prefix, state, created_at FROM {tenancy}.tenants WHERE tenant_id = $1;

-- name: find_named_tenant
-- Reads the tenant of a name.
SELECT tenant_id, name, home, home_database, home_prefix, state, created_at FROM {tenancy}.tenants WHERE name = $1;

-- name: list_tenants
-- Lists tenants in the order of their names, a page at a time.
SELECT tenant_id, name, home, home_database, home_prefix, state, created_at FROM {tenancy}.tenants
WHERE name > $1 ORDER BY name LIMIT $2;

-- name: find_home
-- Reads where one tenant lives.
SELECT home, home_database, home_prefix FROM {tenancy}.tenants WHERE tenant_id = $1;

-- name: find_standing
-- Reads where one tenant lives, and whether it is served.
SELECT home, home_database, home_prefix, state FROM {tenancy}.tenants WHERE tenant_id = $1;

-- name: set_state
-- Suspends a tenant, lets it in again, or begins its erasure, which has no way back.
UPDATE {tenancy}.tenants SET state = $2 WHERE tenant_id = $1 AND state <> 'erasing'
RETURNING tenant_id, name, home, home_database, home_prefix, state, created_at;

-- name: tell_standing
-- Tells every process that listens, once this is committed, that a tenant's standing has changed.
SELECT pg_notify('serai_tenants', $1::uuid::text);

-- name: delete_tenant
-- Takes a tenant that was erased out of the directory.
DELETE FROM {tenancy}.tenants WHERE tenant_id = $1 AND state = 'erasing' RETURNING tenant_id;

-- name: list_homes
-- Lists every home in which a tenant lives, or which one is moving to or has just left.
SELECT home, home_database, home_prefix FROM {tenancy}.tenants
UNION SELECT target, target_database, target_prefix FROM {tenancy}.moves
WHERE ended_at IS NULL AND step <> 'preparing'
UNION SELECT source, source_database, source_prefix FROM {tenancy}.moves WHERE ended_at IS NULL
ORDER BY home;

-- name: insert_move
-- Begins the move of a tenant that is served and locked here; absent where one has not ended yet.
INSERT INTO {tenancy}.moves (tenant_id, move_id, source, source_database, source_prefix,
                             target, target_database, target_prefix, step, started_at, updated_at)
SELECT t.tenant_id, $2, $3, $4, $5, $6, $7, $8, 'preparing', $9::timestamptz, $9::timestamptz
FROM (SELECT tenant_id FROM {tenancy}.tenants
      WHERE tenant_id = $1 AND state = 'active' FOR UPDATE) t
ON CONFLICT DO NOTHING RETURNING move_id;

-- name: note_move
-- Writes down how far a move has come; the last two steps end it.
UPDATE {tenancy}.moves
SET step = $3, rows = $4, refused_ms = COALESCE($5, refused_ms), error = $6, updated_at = $7,
    ended_at = CASE WHEN $3 IN ('done', 'undone') THEN $7::timestamptz END
WHERE tenant_id = $1 AND move_id = $2;

-- name: list_moves
-- Lists moves, the newest first.
SELECT t.name, m.tenant_id, m.move_id, m.source, m.source_database, m.source_prefix, m.target,
       m.target_database, m.target_prefix, m.step, m.rows, m.refused_ms, m.error, m.started_at,
       m.updated_at, m.ended_at
FROM {tenancy}.moves m JOIN {tenancy}.tenants t ON t.tenant_id = m.tenant_id
WHERE $1::uuid IS NULL OR (m.tenant_id = $1 AND m.ended_at IS NULL)
ORDER BY m.started_at DESC, m.move_id LIMIT $2;

-- name: switch_home
-- Gives a tenant its new home.
UPDATE {tenancy}.tenants SET home = $2, home_database = $3, home_prefix = $4 WHERE tenant_id = $1;

-- name: hold_move
-- Holds a tenant's move for this session; false where another process does, or keys are wrapped anew.
SELECT pg_try_advisory_lock_shared(20025, 1)
   AND pg_try_advisory_lock(hashtextextended('serai move ' || $1::uuid::text, 0));

-- name: list_residents
-- Lists the tenants of one home in the order of their ids, a page at a time.
SELECT tenant_id FROM {tenancy}.tenants
WHERE home = $1 AND ($2::uuid IS NULL OR tenant_id > $2)
ORDER BY tenant_id LIMIT $3;

-- name: delete_origins
-- Drops the origins that a tenant, which the transaction has locked, does not name any more.
DELETE FROM {tenancy}.cors_origins WHERE tenant_id = $1 AND origin <> ALL ($2::text[]);

-- name: insert_origins
-- Adds the origins that a tenant names and had not.
INSERT INTO {tenancy}.cors_origins (tenant_id, origin)
SELECT $1, o.origin FROM unnest($2::text[]) AS o(origin)
ORDER BY o.origin
ON CONFLICT DO NOTHING;

-- name: list_origins
-- Lists the origins of a tenant.
SELECT origin FROM {tenancy}.cors_origins WHERE tenant_id = $1 ORDER BY origin LIMIT $2;

-- name: find_origin
-- Tells whether any tenant names an origin.
SELECT EXISTS (SELECT 1 FROM {tenancy}.cors_origins WHERE origin = $1) AS is_known;

-- name: list_domains
-- Lists the domains of a tenant by name, without claims that are over.
SELECT domain, token, created_at, expires_at, proven_at, checked_at, misses, suspended_at
FROM {tenancy}.domains
WHERE tenant_id = $1 AND (proven_at IS NOT NULL OR suspended_at IS NOT NULL OR expires_at > $2)
ORDER BY domain LIMIT $3;

-- name: delete_stale_claims
-- Drops the claims of a tenant, which the transaction has locked, that nobody proved in time.
DELETE FROM {tenancy}.domains WHERE tenant_id = $1 AND proven_at IS NULL AND suspended_at IS NULL AND expires_at <= $2;

-- name: insert_domain
-- Claims a domain; one that is claimed or proven already stays as it is.
INSERT INTO {tenancy}.domains (tenant_id, domain, token, created_at, expires_at)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT DO NOTHING;

-- name: prove_domain
-- Makes what is claimed or suspended proven; the index refuses a second tenant.
UPDATE {tenancy}.domains
SET proven_at = $3, checked_at = $3, misses = 0, suspended_at = NULL, check_at = $4
WHERE tenant_id = $1 AND domain = $2 AND proven_at IS NULL;

-- name: list_due_domains
-- Lists proven domains that are to be checked, the longest due first; they are few.
SELECT tenant_id, domain FROM {tenancy}.domains
WHERE proven_at IS NOT NULL AND (check_at IS NULL OR check_at <= $1)
ORDER BY check_at NULLS FIRST, domain LIMIT $2;

-- name: take_due_domain
-- Takes a domain that is due for a check, and reads it; of two who come for it one gets it.
UPDATE {tenancy}.domains SET check_at = $4
WHERE tenant_id = $1 AND domain = $2 AND proven_at IS NOT NULL AND (check_at IS NULL OR check_at <= $3)
RETURNING domain, token, created_at, expires_at, proven_at, checked_at, misses, suspended_at;

-- name: lock_domain
-- Locks and reads a domain of a tenant.
SELECT domain, token, created_at, expires_at, proven_at, checked_at, misses, suspended_at
FROM {tenancy}.domains WHERE tenant_id = $1 AND domain = $2 FOR UPDATE;

-- name: save_domain_check
-- Writes down what a check made of a locked domain.
UPDATE {tenancy}.domains
SET proven_at = $3, checked_at = $4, misses = $5, suspended_at = $6, check_at = $7
WHERE tenant_id = $1 AND domain = $2;

-- name: delete_domain
-- Removes a domain of a tenant.
DELETE FROM {tenancy}.domains WHERE tenant_id = $1 AND domain = $2;

-- name: find_domain_owner
-- Reads who has proven a domain.
SELECT tenant_id FROM {tenancy}.domains WHERE domain = $1 AND proven_at IS NOT NULL;
