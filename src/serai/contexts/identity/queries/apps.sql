-- An app is locked after the advisory lock of its tenant's apps; a code or a device before any session.

-- name: lock_apps
-- Keeps the apps of a tenant to this transaction until it ends.
SELECT pg_advisory_xact_lock(hashtextextended('serai_identity_apps ' || $1::uuid::text, 0));

-- name: insert_app
-- Adds an app.
INSERT INTO {identity}.apps
  (tenant_id, id, name, is_public, redirect_uris, grants, scopes, secret, created_at,
   post_logout_redirect_uris)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10);

-- name: find_app
-- Reads one app.
SELECT tenant_id, id, name, is_public, redirect_uris, grants, scopes, secret, old_secret,
  old_secret_until, version, created_at, disabled_at, post_logout_redirect_uris
FROM {identity}.apps WHERE tenant_id = $1 AND id = $2;

-- name: list_apps
-- Lists a tenant's apps, oldest first.
SELECT tenant_id, id, name, is_public, redirect_uris, grants, scopes, secret, old_secret,
  old_secret_until, version, created_at, disabled_at, post_logout_redirect_uris
FROM {identity}.apps WHERE tenant_id = $1 ORDER BY id LIMIT $2;

-- name: update_app
-- Writes down what can change of an app, whose tenant's apps are locked.
UPDATE {identity}.apps
SET name = $3, redirect_uris = $4, grants = $5, scopes = $6, secret = $7, old_secret = $8,
  old_secret_until = $9, version = $10, disabled_at = $11, post_logout_redirect_uris = $12
WHERE tenant_id = $1 AND id = $2;

-- name: delete_app
-- Deletes an app, whose tenant's apps are locked.
DELETE FROM {identity}.apps WHERE tenant_id = $1 AND id = $2;

-- name: delete_consents_of_app
-- Deletes a chunk of what accounts have let an app do that is gone, and tells the last of them.
WITH gone AS (
  SELECT tenant_id, account_id, app_id FROM {identity}.consents
  WHERE tenant_id = $1 AND app_id = $2 AND account_id > $3
  ORDER BY tenant_id, account_id, app_id LIMIT $4 FOR UPDATE
), deleted AS (
  DELETE FROM {identity}.consents c USING gone g
  WHERE c.tenant_id = g.tenant_id AND c.account_id = g.account_id AND c.app_id = g.app_id
  RETURNING c.account_id
)
SELECT account_id FROM deleted ORDER BY account_id DESC LIMIT 1;

-- name: is_revoked
-- Tells whether a token of an app that came by itself was revoked.
SELECT EXISTS (
  SELECT FROM {identity}.revoked_tokens WHERE tenant_id = $1 AND app_id = $2 AND id = $3
) AS is_revoked;

-- name: count_revoked
-- Counts, up to a bound, the tokens of an app that were revoked and are not over by themselves.
SELECT count(*)::int AS found FROM (
  SELECT id FROM {identity}.revoked_tokens
  WHERE tenant_id = $1 AND app_id = $2 AND expires_at > $3 LIMIT $4
) AS revoked;

-- name: insert_revoked
-- Notes that a token of an app is revoked; again, that changes nothing.
INSERT INTO {identity}.revoked_tokens (tenant_id, app_id, id, expires_at)
VALUES ($1, $2, $3, $4)
ON CONFLICT DO NOTHING
RETURNING id;

-- name: find_live_grant
-- Reads, for an app's token, whose it is, what was granted, and what person and app may do now.
SELECT a.kind, a.roles, s.scopes AS granted, p.scopes AS allowed,
  {identity}.lacks_factor($1, a.id, a.roles) AS lacks_factor
FROM {identity}.sessions s
JOIN {identity}.accounts a ON a.tenant_id = s.tenant_id AND a.id = s.account_id
JOIN {identity}.apps p ON p.tenant_id = s.tenant_id AND p.id = s.app_id
WHERE s.tenant_id = $1 AND s.id = $2 AND s.account_id = $3 AND s.app_id = $4
  AND s.ended_at IS NULL AND s.expires_at > $5 AND a.suspended_at IS NULL
  AND p.disabled_at IS NULL;

-- name: list_consents
-- Lists what an account has consented to, with the names of the apps.
SELECT c.app_id, p.name, c.scopes, c.given_at
FROM {identity}.consents c
JOIN {identity}.apps p ON p.tenant_id = c.tenant_id AND p.id = c.app_id
WHERE c.tenant_id = $1 AND c.account_id = $2 ORDER BY c.app_id LIMIT $3;

-- name: find_consent
-- Reads what an account has consented to for an app.
SELECT scopes FROM {identity}.consents WHERE tenant_id = $1 AND account_id = $2 AND app_id = $3;

-- name: save_consent
-- Writes down what an account consents to for an app.
INSERT INTO {identity}.consents (tenant_id, account_id, app_id, scopes, given_at)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (tenant_id, account_id, app_id) DO UPDATE
SET scopes = EXCLUDED.scopes, given_at = EXCLUDED.given_at;

-- name: delete_consent
-- Takes back what an account has consented to for an app.
DELETE FROM {identity}.consents WHERE tenant_id = $1 AND account_id = $2 AND app_id = $3;

-- name: end_app_sessions
-- Ends the sessions of an account that are an app's.
WITH wanted AS (
  SELECT tenant_id, id FROM {identity}.sessions
  WHERE tenant_id = $1 AND account_id = $2 AND ended_at IS NULL AND app_id = $3
  ORDER BY tenant_id, id FOR UPDATE
)
UPDATE {identity}.sessions s SET ended_at = $4, reason = 'consent_revoked'
FROM wanted WHERE s.tenant_id = wanted.tenant_id AND s.id = wanted.id;

-- name: insert_code
-- Adds a code that an app may redeem once.
INSERT INTO {identity}.codes
  (tenant_id, digest, app_id, account_id, redirect_uri, challenge, scopes, nonce, signed_in_at,
   expires_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10);

-- name: lock_code
-- Locks and reads a code.
SELECT app_id, account_id, redirect_uri, challenge, scopes, nonce, signed_in_at, expires_at, session_id
FROM {identity}.codes WHERE tenant_id = $1 AND digest = $2 FOR UPDATE;

-- name: use_code
-- Notes which session came of a locked code.
UPDATE {identity}.codes SET session_id = $3 WHERE tenant_id = $1 AND digest = $2;

-- name: count_devices
-- Counts, up to a bound, the devices of an app that may still be answered.
SELECT count(*)::int AS found FROM (
  SELECT digest FROM {identity}.devices
  WHERE tenant_id = $1 AND app_id = $2 AND expires_at > $3 AND session_id IS NULL LIMIT $4
) AS waiting;

-- name: lock_admitted
-- Keeps the number of devices that are in to this transaction until it ends; after its own device.
SELECT pg_advisory_xact_lock(hashtextextended('serai_identity_devices ' || $1::uuid::text, 0));

-- name: count_admitted
-- Counts the devices that were let in, whose sessions have not ended and whose apps are not off.
SELECT count(*)::int AS counted FROM {identity}.devices d
JOIN {identity}.sessions s ON s.tenant_id = d.tenant_id AND s.id = d.session_id
JOIN {identity}.apps p ON p.tenant_id = d.tenant_id AND p.id = d.app_id
WHERE d.tenant_id = $1 AND s.ended_at IS NULL AND s.expires_at > $2 AND p.disabled_at IS NULL;

-- name: insert_device
-- Adds a device that waits for an answer unless its user code is taken.
INSERT INTO {identity}.devices
  (tenant_id, digest, user_code, app_id, scopes, interval_s, expires_at)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT DO NOTHING
RETURNING interval_s;

-- name: lock_device
-- Locks and reads a device by what it comes with.
SELECT digest, app_id, scopes, interval_s, expires_at, polled_at, answer, account_id, signed_in_at,
  session_id
FROM {identity}.devices WHERE tenant_id = $1 AND digest = $2 FOR UPDATE;

-- name: lock_device_by_user_code
-- Locks and reads a device by what its owner reads from it.
SELECT digest, app_id, scopes, interval_s, expires_at, polled_at, answer, account_id, signed_in_at,
  session_id
FROM {identity}.devices WHERE tenant_id = $1 AND user_code = $2 FOR UPDATE;

-- name: update_device
-- Writes a locked device down.
UPDATE {identity}.devices
SET scopes = $3, interval_s = $4, polled_at = $5, answer = $6, account_id = $7, signed_in_at = $8,
  session_id = $9, expires_at = $10
WHERE tenant_id = $1 AND digest = $2;

-- name: prune_codes
-- Deletes codes that were over by the given time, a chunk at a time.
DELETE FROM {identity}.codes c
USING (
  SELECT d.tenant_id, d.digest FROM unnest($1::uuid[]) AS t(tenant_id)
  CROSS JOIN LATERAL (
    SELECT q.tenant_id, q.digest FROM {identity}.codes q
    WHERE q.tenant_id = t.tenant_id AND q.challenge <> '' AND q.expires_at < $2
    ORDER BY q.expires_at LIMIT $3
  ) AS d
  ORDER BY d.tenant_id, d.digest LIMIT $3
) gone
WHERE c.tenant_id = gone.tenant_id AND c.digest = gone.digest;

-- name: prune_devices
-- Deletes devices whose time was over by the given time, a chunk at a time.
DELETE FROM {identity}.devices v
USING (
  SELECT d.tenant_id, d.digest FROM unnest($1::uuid[]) AS t(tenant_id)
  CROSS JOIN LATERAL (
    SELECT q.tenant_id, q.digest FROM {identity}.devices q
    WHERE q.tenant_id = t.tenant_id AND q.interval_s > 0 AND q.expires_at < $2
    ORDER BY q.expires_at LIMIT $3
  ) AS d
  ORDER BY d.tenant_id, d.digest LIMIT $3
) gone
WHERE v.tenant_id = gone.tenant_id AND v.digest = gone.digest;

-- name: prune_revoked
-- Deletes revoked tokens that are over by themselves, a chunk at a time.
DELETE FROM {identity}.revoked_tokens r
USING (
  SELECT d.tenant_id, d.app_id, d.id FROM unnest($1::uuid[]) AS t(tenant_id)
  CROSS JOIN LATERAL (
    SELECT q.tenant_id, q.app_id, q.id FROM {identity}.revoked_tokens q
    WHERE q.tenant_id = t.tenant_id AND q.expires_at > '-infinity' AND q.expires_at < $2
    ORDER BY q.expires_at LIMIT $3
  ) AS d
  ORDER BY d.tenant_id, d.app_id, d.id LIMIT $3
) gone
WHERE r.tenant_id = gone.tenant_id AND r.app_id = gone.app_id AND r.id = gone.id;
