-- name: find_customer
-- Reads the account of a customer.
SELECT tenant_id, id, email, name, password_hash, roles, created_at, suspended_at
FROM {identity}.accounts WHERE tenant_id = $1 AND id = $2 AND kind = 'customer';

-- name: find_customer_id
-- Tells which customer has an address, by its digest or, from before, by the address itself.
SELECT id FROM {identity}.accounts
WHERE tenant_id = $1 AND kind = 'customer' AND email_key = ANY ($2::text[]) LIMIT 1;

-- name: list_sessions_of_account
-- Lists what is kept of an account's sessions, newest first.
SELECT id, app_id, created_at, used_at, expires_at, factor_at, ended_at, reason
FROM {identity}.sessions WHERE tenant_id = $1 AND account_id = $2 ORDER BY id DESC LIMIT $3;

-- name: tell_passkeys
-- Lists what a person may know of her passkeys, oldest first.
SELECT id, name, rp_id, is_backed_up, created_at, used_at
FROM {identity}.passkeys WHERE tenant_id = $1 AND account_id = $2 ORDER BY id LIMIT $3;

-- name: tell_factor
-- Tells since when a person has an authenticator, and how many spare codes are left.
SELECT created_at, confirmed_at, cardinality(spares) AS spare_codes
FROM {identity}.second_factors WHERE tenant_id = $1 AND account_id = $2;

-- name: tell_links
-- Lists the providers that let a person in, and by which subject, with the names that are known.
SELECT p.name AS provider, l.issuer, l.subject, l.created_at
FROM {identity}.provider_links l
LEFT JOIN {identity}.providers p
  ON p.tenant_id = l.tenant_id AND p.kind = l.kind AND p.issuer = l.issuer
WHERE l.tenant_id = $1 AND l.account_id = $2 ORDER BY l.issuer, l.subject LIMIT $3;

-- name: erase_mail_tokens
-- Deletes what was mailed to a person.
WITH wanted AS (
  SELECT tenant_id, id FROM {identity}.mail_tokens
  WHERE tenant_id = $1 AND (account_id = $2 OR subject = $3) ORDER BY tenant_id, id FOR UPDATE
)
DELETE FROM {identity}.mail_tokens t USING wanted w WHERE t.tenant_id = w.tenant_id AND t.id = w.id;

-- name: erase_sessions
-- Deletes every session of an account.
WITH wanted AS (
  SELECT tenant_id, id FROM {identity}.sessions
  WHERE tenant_id = $1 AND account_id = $2 ORDER BY tenant_id, id FOR UPDATE
)
DELETE FROM {identity}.sessions s USING wanted w WHERE s.tenant_id = w.tenant_id AND s.id = w.id;

-- name: erase_challenges
-- Deletes what an account was asked to show a passkey by.
WITH wanted AS (
  SELECT tenant_id, id FROM {identity}.passkey_challenges
  WHERE tenant_id = $1 AND account_id = $2 ORDER BY tenant_id, id FOR UPDATE
)
DELETE FROM {identity}.passkey_challenges t USING wanted w WHERE t.tenant_id = w.tenant_id AND t.id = w.id;

-- name: erase_consents
-- Deletes what a person has let apps do.
WITH wanted AS (
  SELECT tenant_id, account_id, app_id FROM {identity}.consents
  WHERE tenant_id = $1 AND account_id = $2 ORDER BY tenant_id, account_id, app_id FOR UPDATE
)
DELETE FROM {identity}.consents t USING wanted w WHERE t.tenant_id = w.tenant_id AND t.account_id = w.account_id AND t.app_id = w.app_id;

-- name: erase_codes
-- Deletes codes by which apps come to an account.
WITH wanted AS (
  SELECT tenant_id, digest FROM {identity}.codes
  WHERE tenant_id = $1 AND account_id = $2 ORDER BY tenant_id, digest FOR UPDATE
)
DELETE FROM {identity}.codes t USING wanted w WHERE t.tenant_id = w.tenant_id AND t.digest = w.digest;

-- name: erase_devices
-- Deletes devices that a person has let in.
WITH wanted AS (
  SELECT tenant_id, digest FROM {identity}.devices
  WHERE tenant_id = $1 AND account_id = $2 ORDER BY tenant_id, digest FOR UPDATE
)
DELETE FROM {identity}.devices t USING wanted w WHERE t.tenant_id = w.tenant_id AND t.digest = w.digest;

-- name: erase_account
-- Deletes the account of a customer, or of a member of the staff.
DELETE FROM {identity}.accounts WHERE tenant_id = $1 AND id = $2;

-- name: lock_clear_accounts
-- Locks and reads a chunk of tenants' accounts whose addresses are in clear.
SELECT tenant_id, id, kind, email, name FROM {identity}.accounts
WHERE tenant_id = ANY ($1::uuid[]) AND email LIKE '%@%' ORDER BY tenant_id, id LIMIT $2 FOR UPDATE;

-- name: seal_accounts
-- Writes addresses and names of locked accounts as they may rest.
UPDATE {identity}.accounts a SET email = n.email, email_key = n.email_key, name = n.name
FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[])
  AS n(tenant_id, id, email, email_key, name)
WHERE a.tenant_id = n.tenant_id AND a.id = n.id;
