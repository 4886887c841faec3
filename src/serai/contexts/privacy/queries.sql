-- Erasures are locked one at a time and before anything that they take out.

-- name: insert_erasure
-- Notes that a person is being erased.
INSERT INTO {privacy}.erasures
  (tenant_id, id, subject, account_id, asked_at, asked_by, keys_erased, places, erased, finished_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10);

-- name: lock_erasure
-- Locks and reads an erasure that is not done, unless someone else goes on with it.
SELECT id, subject, account_id, asked_at, asked_by, keys_erased, places, erased, finished_at
FROM {privacy}.erasures WHERE tenant_id = $1 AND id = $2 AND finished_at IS NULL FOR UPDATE SKIP LOCKED;

-- name: update_erasure
-- Writes down how far a locked erasure has come.
UPDATE {privacy}.erasures SET keys_erased = $3, places = $4, erased = $5, finished_at = $6
WHERE tenant_id = $1 AND id = $2;

-- name: find_erasure
-- Reads an erasure.
SELECT id, subject, account_id, asked_at, asked_by, keys_erased, places, erased, finished_at
FROM {privacy}.erasures WHERE tenant_id = $1 AND id = $2;

-- name: list_running_erasures
-- Lists erasures of tenants that are not done.
SELECT tenant_id, id FROM {privacy}.erasures
WHERE tenant_id = ANY ($1::uuid[]) AND finished_at IS NULL ORDER BY tenant_id, id LIMIT $2;

-- name: insert_consent
-- Notes what a person has agreed to, or taken back.
INSERT INTO {privacy}.consents (tenant_id, subject, id, purpose, text_version, is_given, how, at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8);

-- name: list_consents
-- Lists what a person has said, newest first.
SELECT id, purpose, text_version, is_given, how, at FROM {privacy}.consents
WHERE tenant_id = $1 AND subject = $2 ORDER BY id DESC LIMIT $3;

-- name: empty_consents
-- Says what a person has said once more, without her own words; a consent itself is never changed.
WITH said AS (
  DELETE FROM {privacy}.consents WHERE tenant_id = $1 AND subject = $2 AND how <> ''
  RETURNING tenant_id, subject, id, purpose, text_version, is_given, at
)
INSERT INTO {privacy}.consents (tenant_id, subject, id, purpose, text_version, is_given, how, at)
SELECT tenant_id, subject, id, purpose, text_version, is_given, '', at FROM said;

-- name: list_retention_rules
-- Lists what tenants have said of how long something is kept, and how far that was applied.
SELECT tenant_id, name, days, place FROM {privacy}.retention_rules
WHERE tenant_id = ANY ($1::uuid[]) ORDER BY tenant_id, name;

-- name: save_retention_rule
-- Writes down for how long something is kept.
INSERT INTO {privacy}.retention_rules (tenant_id, name, days, place)
VALUES ($1, $2, $3, '00000000-0000-0000-0000-000000000000')
ON CONFLICT (tenant_id, name) DO UPDATE SET days = EXCLUDED.days;

-- name: move_retention_rule
-- Writes down how far a rule was applied.
INSERT INTO {privacy}.retention_rules (tenant_id, name, place) VALUES ($1, $2, $3)
ON CONFLICT (tenant_id, name) DO UPDATE SET place = EXCLUDED.place;
