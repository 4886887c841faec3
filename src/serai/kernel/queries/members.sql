-- name: beat_members
-- Says that a worker lives, in every group that it serves.
INSERT INTO {kernel}.members (group_name, worker, seen_at)
SELECT g.name, $2, clock_timestamp() FROM unnest($1::text[]) AS g(name) ORDER BY g.name
ON CONFLICT (group_name, worker) DO UPDATE SET seen_at = excluded.seen_at;

-- name: forget_members
-- Drops a worker that leaves, and those that were not seen for long.
DELETE FROM {kernel}.members
WHERE worker = $1 OR seen_at < clock_timestamp() - make_interval(secs => $2);

-- name: count_members
-- Counts the living workers of each group.
SELECT group_name, count(*)::int AS members
FROM {kernel}.members
WHERE group_name = ANY ($1::text[]) AND seen_at > clock_timestamp() - make_interval(secs => $2)
GROUP BY group_name;

-- name: hold_presence
-- Shows on this session, until it ends, that a worker lives; false where another session does so.
SELECT pg_try_advisory_lock(hashtextextended($1::uuid::text, 0));

-- name: drop_absent
-- Forgets workers whose session has ended, and frees what they held: the dead are not waited for.
WITH present AS MATERIALIZED (
  SELECT (classid::bigint << 32) | objid::bigint AS key FROM pg_locks
  WHERE locktype = 'advisory' AND objsubid = 1 AND granted
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
), absent AS MATERIALIZED (
  SELECT w.worker FROM (
    SELECT owner AS worker FROM {kernel}.leases
    WHERE group_name = ANY ($1::text[]) AND owner IS NOT NULL
    UNION SELECT worker FROM {kernel}.members WHERE group_name = ANY ($1::text[])) w
  WHERE w.worker <> $2 AND hashtextextended(w.worker::text, 0) NOT IN (SELECT key FROM present)
), gone AS (
  SELECT group_name, worker FROM {kernel}.members
  WHERE group_name = ANY ($1::text[]) AND worker IN (SELECT worker FROM absent)
  FOR UPDATE SKIP LOCKED
), forgotten AS (
  DELETE FROM {kernel}.members m USING gone
  WHERE m.group_name = gone.group_name AND m.worker = gone.worker
), free AS (
  SELECT group_name, partition FROM {kernel}.leases
  WHERE group_name = ANY ($1::text[]) AND owner IN (SELECT worker FROM absent)
  ORDER BY group_name, partition FOR UPDATE SKIP LOCKED
)
UPDATE {kernel}.leases l SET owner = NULL, lease_until = '-infinity'
FROM free WHERE l.group_name = free.group_name AND l.partition = free.partition;

-- name: renew_leases
-- Prolongs a worker's leases; one whose row is locked is in a batch of its own and needs no renewal.
WITH mine AS (
  SELECT group_name, partition FROM {kernel}.leases
  WHERE owner = $1 ORDER BY group_name, partition FOR UPDATE SKIP LOCKED
)
UPDATE {kernel}.leases l
SET lease_until = clock_timestamp() + make_interval(secs => $2)
FROM mine WHERE l.group_name = mine.group_name AND l.partition = mine.partition;

-- name: claim_leases
-- Takes free or expired partitions of a group, up to the given number, under a new fence.
WITH free AS (
  SELECT group_name, partition FROM {kernel}.leases
  WHERE group_name = $1 AND (owner IS NULL OR lease_until < clock_timestamp())
    AND owner IS DISTINCT FROM $2
  ORDER BY group_name, partition LIMIT $3 FOR UPDATE SKIP LOCKED
)
UPDATE {kernel}.leases l
SET owner = $2, fence = l.fence + 1, lease_until = clock_timestamp() + make_interval(secs => $4)
FROM free WHERE l.group_name = free.group_name AND l.partition = free.partition;

-- name: release_leases
-- Gives partitions of a group back; null gives all back in every group.
UPDATE {kernel}.leases SET owner = NULL, lease_until = '-infinity'
WHERE owner = $1 AND ($2::text IS NULL OR (group_name = $2 AND partition = ANY ($3::smallint[])));

-- name: list_leases
-- Lists what a worker holds, with the fences under which it holds them.
SELECT group_name, partition, fence FROM {kernel}.leases WHERE owner = $1;

-- name: count_unserved
-- Counts the partitions of the given groups that nobody holds now.
SELECT count(*)::int FROM {kernel}.leases
WHERE group_name = ANY ($1::text[]) AND (owner IS NULL OR lease_until < clock_timestamp());

-- name: tell_unbound
-- Tells whether row-level security does not bind the role of this session.
SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user;

-- name: list_migrations
-- Lists what was applied to a home.
SELECT context, name FROM {kernel}.migrations;

-- name: count_sessions
-- Counts the sessions of a role, whatever their database.
SELECT count(*)::int FROM pg_stat_activity WHERE usename = $1;
