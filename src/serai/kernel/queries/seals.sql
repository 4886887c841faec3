-- Data keys are made and locked in the order of their tenants and subjects.

-- name: find_data_keys
-- Reads the keys of subjects, each with the number of its subject among those that are asked for.
SELECT w.number, k.serial, k.root, k.wrapped
FROM {kernel}.data_keys k
JOIN unnest($1::uuid[], $2::uuid[]) WITH ORDINALITY AS w(tenant_id, subject, number)
  ON k.tenant_id = w.tenant_id AND k.subject = w.subject;

-- name: insert_data_keys
-- Gives keys to subjects that have none; of two at the same time, the first one's stays.
INSERT INTO {kernel}.data_keys (tenant_id, subject, serial, root, wrapped, made_at)
SELECT n.tenant_id, n.subject, n.serial, $4, n.wrapped, $6
FROM unnest($1::uuid[], $2::uuid[], $3::bytea[], $5::bytea[]) AS n(tenant_id, subject, serial, wrapped)
ORDER BY n.tenant_id, n.subject
ON CONFLICT DO NOTHING;

-- name: erase_data_keys
-- Erases the keys of subjects: what they seal opens nowhere any more.
DELETE FROM {kernel}.data_keys k
USING (
  SELECT d.tenant_id, d.subject FROM {kernel}.data_keys d
  WHERE d.tenant_id = $1 AND d.subject = ANY ($2::uuid[])
  ORDER BY d.tenant_id, d.subject FOR UPDATE
) gone
WHERE k.tenant_id = gone.tenant_id AND k.subject = gone.subject;

-- name: lock_old_data_keys
-- Locks and reads a chunk of a home's keys that an older root key wraps.
SELECT k.tenant_id, k.subject, k.serial, k.root, k.wrapped
FROM {kernel}.data_keys k
WHERE k.root < $1
ORDER BY k.tenant_id, k.subject LIMIT $2
FOR UPDATE OF k;

-- name: rewrap_data_keys
-- Writes locked keys as another root key wraps them.
UPDATE {kernel}.data_keys k SET root = $3, wrapped = n.wrapped
FROM unnest($1::uuid[], $2::uuid[], $4::bytea[]) AS n(tenant_id, subject, wrapped)
WHERE k.tenant_id = n.tenant_id AND k.subject = n.subject;

-- name: list_root_keys
-- Lists the installation's root keys.
SELECT number, wrapped, created_at FROM {kernel}.root_keys WHERE tenant_id = $1 ORDER BY number;

-- name: insert_root_key
-- Adds a root key, unless there is one of that number.
INSERT INTO {kernel}.root_keys (tenant_id, number, wrapped, created_at)
VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING;

-- name: delete_root_keys
-- Ends the root keys below a number: what only they unwrap opens nowhere any more.
DELETE FROM {kernel}.root_keys WHERE tenant_id = $1 AND number < $2;

-- name: hold_rotation
-- Keeps tenants from moving for this session, so that none takes along a key that was not wrapped anew.
SELECT pg_try_advisory_lock(20025, 1);
