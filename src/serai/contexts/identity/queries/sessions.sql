-- Sessions are locked after their account where both are; several of one account in the order of their ids.

-- name: insert_session
-- Adds a session.
INSERT INTO {identity}.sessions
  (tenant_id, id, account_id, family, fresh, created_at, used_at, expires_at, app_id, scopes,
   factor_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11);

-- name: lock_session
-- Locks and reads one session.
SELECT id, account_id, family, fresh, created_at, used_at, expires_at, ended_at, app_id, scopes
FROM {identity}.sessions WHERE tenant_id = $1 AND id = $2 FOR UPDATE;

-- name: rotate_session
-- Writes down the fresh half of a locked session's next token.
UPDATE {identity}.sessions SET fresh = $3, used_at = $4, expires_at = $5
WHERE tenant_id = $1 AND id = $2;

-- name: end_sessions
-- Ends sessions of an account: all, one only, or all but one.
WITH wanted AS (
  SELECT tenant_id, id FROM {identity}.sessions
  WHERE tenant_id = $1 AND account_id = $2 AND ended_at IS NULL
    AND ($3::uuid IS NULL OR id = $3) AND ($4::uuid IS NULL OR id <> $4)
  ORDER BY tenant_id, id FOR UPDATE
)
UPDATE {identity}.sessions s SET ended_at = $5, reason = $6
FROM wanted WHERE s.tenant_id = wanted.tenant_id AND s.id = wanted.id;

-- name: end_oldest_sessions
-- Ends all but the newest sessions that an account has with an app.
WITH old AS (
  SELECT tenant_id, id FROM {identity}.sessions
  WHERE tenant_id = $1 AND account_id = $2 AND ended_at IS NULL
    AND app_id IS NOT DISTINCT FROM $5
  ORDER BY id DESC OFFSET $3 LIMIT 100
), wanted AS (
  SELECT s.tenant_id, s.id FROM {identity}.sessions s
  JOIN old ON s.tenant_id = old.tenant_id AND s.id = old.id
  ORDER BY s.tenant_id, s.id FOR UPDATE OF s
)
UPDATE {identity}.sessions s SET ended_at = $4, reason = 'too_many'
FROM wanted WHERE s.tenant_id = wanted.tenant_id AND s.id = wanted.id;

-- name: list_living_sessions
-- Lists an account's sessions with the shop itself that have not ended, newest first.
SELECT id, account_id, family, fresh, created_at, used_at, expires_at, ended_at, app_id, scopes
FROM {identity}.sessions
WHERE tenant_id = $1 AND account_id = $2 AND ended_at IS NULL AND expires_at > $3
  AND app_id IS NULL
ORDER BY id DESC LIMIT $4;

-- name: find_live_session
-- Reads, for a token, what its account is and may do, if its session has not ended.
SELECT a.kind, a.roles, s.factor_at, {identity}.lacks_factor($1, a.id, a.roles) AS lacks_factor
FROM {identity}.sessions s
JOIN {identity}.accounts a ON a.tenant_id = s.tenant_id AND a.id = s.account_id
WHERE s.tenant_id = $1 AND s.id = $2 AND s.account_id = $3 AND s.ended_at IS NULL
  AND s.expires_at > $4 AND s.app_id IS NULL AND a.suspended_at IS NULL;

-- name: tell_change
-- Tells every process that listens, once this is committed, whose memory is out of date.
SELECT pg_notify('serai_identity', $1);

-- name: insert_mail_token
-- Notes what a mail asks its reader to confirm.
INSERT INTO {identity}.mail_tokens
  (tenant_id, id, purpose, account_id, email, name, password_hash, created_at, expires_at, subject)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10);

-- name: find_mail_token
-- Reads a mailed token that could be used now.
SELECT tenant_id, id, purpose, account_id, email, name, password_hash, created_at, expires_at, used_at
FROM {identity}.mail_tokens
WHERE tenant_id = $1 AND id = $2 AND purpose = $3 AND used_at IS NULL AND expires_at > $4;

-- name: find_latest_mail_token
-- Reads the latest mailed token of an address that could be used now, for the operator.
SELECT tenant_id, id, purpose, account_id, email, name, password_hash, created_at, expires_at, used_at
FROM {identity}.mail_tokens
WHERE tenant_id = $1 AND subject = ANY ($2::uuid[]) AND used_at IS NULL AND expires_at > $3
ORDER BY id DESC LIMIT 1;

-- name: use_mail_token
-- Uses a mailed token up; of two at the same time one finds it used.
UPDATE {identity}.mail_tokens SET used_at = $4
WHERE tenant_id = $1 AND id = $2 AND purpose = $3 AND used_at IS NULL AND expires_at > $4
RETURNING tenant_id, id, purpose, account_id, email, name, password_hash, created_at, expires_at, used_at;

-- name: void_mail_tokens
-- Uses up every token for an account's password.
UPDATE {identity}.mail_tokens SET used_at = $3
WHERE tenant_id = $1 AND account_id = $2 AND purpose = 'password' AND used_at IS NULL;

-- name: lock_throttles
-- Locks buckets and reads when each is full again; makes those that are not there.
INSERT INTO {identity}.throttles (tenant_id, bucket, full_at)
SELECT $1, b.bucket, $3 FROM unnest($2::bytea[]) AS b(bucket) ORDER BY b.bucket
ON CONFLICT (tenant_id, bucket) DO UPDATE SET full_at = throttles.full_at
RETURNING bucket, full_at;

-- name: update_throttles
-- Writes locked buckets down.
UPDATE {identity}.throttles t SET full_at = n.full_at
FROM unnest($2::bytea[], $3::timestamptz[]) AS n(bucket, full_at)
WHERE t.tenant_id = $1 AND t.bucket = n.bucket;

-- name: fill_throttle
-- Gives all tries of a bucket back.
DELETE FROM {identity}.throttles WHERE tenant_id = $1 AND bucket = $2;
