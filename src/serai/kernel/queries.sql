-- name: append_events
-- Writes a transaction's announcements in order and wakes who hears their types at commit.
WITH written AS (
  INSERT INTO {kernel}.outbox (topic, partition, tenant_id, event_id, type, key, occurred_at,
                               correlation_id, causation_id, traceparent, data)
  SELECT a.topic, a.partition, a.tenant_id, a.event_id, a.type, a.key, $7::timestamptz,
         a.correlation_id, a.causation_id, a.traceparent, a.data
  FROM unnest($1::text[], $2::smallint[], $3::uuid[], $4::uuid[], $5::text[], $6::uuid[],
              $8::uuid[], $9::uuid[], $10::text[], $11::json[])
       WITH ORDINALITY AS a(topic, partition, tenant_id, event_id, type, key,
                            correlation_id, causation_id, traceparent, data, n)
  ORDER BY a.n
)
SELECT pg_notify('serai_log', $13::text || '|' || t.name || '|' || pg_current_xact_id()::text)
FROM unnest($12::text[]) AS t(name);

-- name: fetch_events
-- Reads the next events of each given position, below the oldest running transaction.
SELECT p.topic, p.partition, e.xid, e.seq, e.tenant_id, e.event_id, e.type, e.key, e.occurred_at,
       e.correlation_id, e.traceparent, e.data
FROM unnest($1::text[], $2::smallint[], $3::text[], $4::bigint[]) AS p(topic, partition, xid, seq)
CROSS JOIN LATERAL (
  SELECT o.xid::text::bigint AS xid, o.seq, o.tenant_id, o.event_id, o.type, o.key, o.occurred_at,
         o.correlation_id, o.traceparent, o.data
  FROM {kernel}.outbox o
  WHERE o.topic = p.topic AND o.partition = p.partition
    AND (o.xid, o.seq) > (p.xid::xid8, p.seq)
    AND o.xid < $7::text::xid8
    AND o.type = ANY ($6::text[])
  ORDER BY o.xid, o.seq
  LIMIT $5
) AS e;

-- name: read_horizon
-- Tells the oldest transaction that still runs: below it nothing new can appear.
SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint;

-- name: list_positions
-- Reads where a group stands in the given partitions.
SELECT topic, partition, xid::text::bigint AS xid, seq
FROM {kernel}.positions
WHERE group_name = $1 AND partition = ANY ($2::smallint[]);

-- name: ensure_group
-- Creates the leases and positions of a group that is new.
WITH leases AS (
  INSERT INTO {kernel}.leases (group_name, partition)
  SELECT $1, generate_series(0, $3::int - 1)
  ON CONFLICT DO NOTHING
)
INSERT INTO {kernel}.positions (group_name, topic, partition)
SELECT $1, t.topic, generate_series(0, $3::int - 1)
FROM unnest($2::text[]) AS t(topic)
ON CONFLICT DO NOTHING;

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

-- name: move_positions
-- Moves a group's positions if, and only if, the worker still owns the partitions under its fences.
WITH held AS (
  SELECT l.partition FROM {kernel}.leases l
  JOIN unnest($3::smallint[], $4::bigint[]) AS w(partition, fence)
    ON l.partition = w.partition AND l.fence = w.fence
  WHERE l.group_name = $1 AND l.owner = $2
  ORDER BY l.partition
  FOR UPDATE OF l
), moved AS (
  UPDATE {kernel}.positions p SET xid = n.xid::xid8, seq = n.seq
  FROM unnest($5::text[], $6::smallint[], $7::text[], $8::bigint[]) AS n(topic, partition, xid, seq)
  WHERE p.group_name = $1 AND p.topic = n.topic AND p.partition = n.partition
    AND (p.xid, p.seq) < (n.xid::xid8, n.seq)
    AND n.partition IN (SELECT partition FROM held)
)
SELECT count(*)::int FROM held;

-- name: insert_inbox
-- Marks events as handled by a group; those that were handled before do not come back.
INSERT INTO {kernel}.inbox (tenant_id, group_name, event_id, handled_at)
SELECT i.tenant_id, $1, i.event_id, $4
FROM unnest($2::uuid[], $3::uuid[]) AS i(tenant_id, event_id)
ORDER BY i.event_id
ON CONFLICT DO NOTHING
RETURNING event_id;

-- name: list_blocked_keys
-- Lists which of the given keys have a parked message in a group.
SELECT DISTINCT key FROM {kernel}.dead_letters WHERE group_name = $1 AND key = ANY ($2::uuid[]);

-- name: park_letters
-- Parks messages that a group could not handle, with everything needed to handle them later.
INSERT INTO {kernel}.dead_letters (tenant_id, group_name, event_id, topic, partition, xid, seq, type,
  key, occurred_at, correlation_id, traceparent, data, state, attempts, next_at, error, parked_at)
SELECT d.tenant_id, $1, d.event_id, d.topic, d.partition, d.xid::xid8, d.seq, d.type,
  d.key, d.occurred_at, d.correlation_id, d.traceparent, d.data, 'retrying', $13, $14, $15, $16
FROM unnest($2::uuid[], $3::uuid[], $4::text[], $5::smallint[], $6::text[], $7::bigint[], $8::text[],
  $9::uuid[], $10::timestamptz[], $11::uuid[], $12::text[], $17::json[])
  AS d(tenant_id, event_id, topic, partition, xid, seq, type, key, occurred_at, correlation_id,
       traceparent, data)
ON CONFLICT DO NOTHING;

-- name: list_due_letters
-- Lists parked messages that are due for another try and are the first of their key.
SELECT d.tenant_id, d.event_id, d.topic, d.partition, d.xid::text::bigint AS xid, d.seq, d.type, d.key,
       d.occurred_at, d.correlation_id, d.traceparent, d.data, d.attempts
FROM {kernel}.dead_letters d
WHERE d.group_name = $1 AND d.state = 'retrying' AND d.next_at <= $2
  AND d.partition = ANY ($4::smallint[])
  AND NOT EXISTS (
    SELECT 1 FROM {kernel}.dead_letters earlier
    WHERE earlier.group_name = d.group_name AND earlier.key = d.key
      AND (earlier.xid, earlier.seq) < (d.xid, d.seq))
ORDER BY d.next_at LIMIT $3;

-- name: lock_letter
-- Locks a parked message for one try; absent where another worker has it or it is gone.
SELECT event_id FROM {kernel}.dead_letters
WHERE group_name = $1 AND event_id = $2 AND state = 'retrying' FOR UPDATE SKIP LOCKED;

-- name: delete_letter
-- Removes a parked message, handled or dropped.
DELETE FROM {kernel}.dead_letters WHERE group_name = $1 AND event_id = $2;

-- name: delay_letter
-- Notes a failed try of a parked message and when the next is due, or that there is none.
UPDATE {kernel}.dead_letters
SET attempts = attempts + 1, state = $3, next_at = $4, error = $5
WHERE group_name = $1 AND event_id = $2;

-- name: list_letters
-- Lists parked messages, newest first, a page at a time.
SELECT tenant_id, group_name, event_id, topic, type, key, state, attempts, next_at, error, parked_at,
       occurred_at, correlation_id, data
FROM {kernel}.dead_letters
WHERE ($1::text IS NULL OR group_name = $1) AND ($2::uuid IS NULL OR event_id = $2)
  AND ($3::uuid IS NULL OR event_id < $3)
ORDER BY event_id DESC LIMIT $4;

-- name: revive_letters
-- Makes dead messages due again at once.
UPDATE {kernel}.dead_letters SET state = 'retrying', attempts = 0, next_at = $3
WHERE ($1::text IS NULL OR group_name = $1) AND ($2::uuid IS NULL OR event_id = $2)
RETURNING event_id;

-- name: drop_letters
-- Removes parked messages for good, and marks them so that no replay brings them back.
WITH dropped AS (
  DELETE FROM {kernel}.dead_letters
  WHERE ($1::text IS NULL OR group_name = $1) AND event_id = $2
  RETURNING tenant_id, group_name, event_id
)
INSERT INTO {kernel}.inbox (tenant_id, group_name, event_id, handled_at)
SELECT tenant_id, group_name, event_id, $3 FROM dropped
ON CONFLICT DO NOTHING
RETURNING event_id;

-- name: start_flows
-- Starts flow instances; those that exist already do not come back.
INSERT INTO {kernel}.flows (tenant_id, flow, key, state, deadline_at, data, started_at, updated_at, ended_at)
SELECT f.tenant_id, $1, f.key, f.state, f.deadline_at, f.data, $7, $7,
       CASE WHEN f.is_ended THEN $7::timestamptz END
FROM unnest($2::uuid[], $3::uuid[], $4::text[], $5::timestamptz[], $6::json[], $8::boolean[])
  AS f(tenant_id, key, state, deadline_at, data, is_ended)
ORDER BY f.tenant_id, f.key
ON CONFLICT DO NOTHING
RETURNING key;

-- name: move_flows
-- Moves flow instances that stand in one of the given states; the others do not come back.
UPDATE {kernel}.flows f
SET state = $5, deadline_at = $6, updated_at = $7,
    ended_at = CASE WHEN $8::boolean THEN $7::timestamptz END
FROM (SELECT w.tenant_id, $1::text AS flow, w.key
      FROM unnest($2::uuid[], $3::uuid[]) AS w(tenant_id, key) ORDER BY w.tenant_id, w.key) w
WHERE f.tenant_id = w.tenant_id AND f.flow = w.flow AND f.key = w.key AND f.state = ANY ($4::text[])
RETURNING f.key;

-- name: find_flows
-- Reads the state of flow instances.
SELECT f.tenant_id, f.key, f.state
FROM (SELECT w.tenant_id, $1::text AS flow, w.key
      FROM unnest($2::uuid[], $3::uuid[]) AS w(tenant_id, key) ORDER BY w.tenant_id, w.key) w
JOIN {kernel}.flows f ON f.tenant_id = w.tenant_id AND f.flow = w.flow AND f.key = w.key;

-- name: list_due_flows
-- Lists running flow instances whose deadline has passed, oldest first.
SELECT tenant_id, flow, key, state FROM {kernel}.flows
WHERE ended_at IS NULL AND deadline_at <= $1 ORDER BY deadline_at LIMIT $2;

-- name: claim_keys
-- Claims idempotency keys; a key that was claimed before, or twice here, comes back once at most.
INSERT INTO {kernel}.idempotency_keys (tenant_id, key, fingerprint, created_at)
SELECT k.tenant_id, k.key, k.fingerprint, $4
FROM unnest($1::uuid[], $2::text[], $3::bytea[]) AS k(tenant_id, key, fingerprint)
ORDER BY k.tenant_id, k.key
ON CONFLICT DO NOTHING
RETURNING tenant_id, key;

-- name: find_answers
-- Reads what was answered under idempotency keys.
SELECT k.tenant_id, k.key, k.fingerprint, k.answer
FROM {kernel}.idempotency_keys k
JOIN unnest($1::uuid[], $2::text[]) AS w(tenant_id, key) ON k.tenant_id = w.tenant_id AND k.key = w.key;

-- name: store_answers
-- Keeps what was answered under idempotency keys.
UPDATE {kernel}.idempotency_keys k SET answer = a.answer
FROM unnest($1::uuid[], $2::text[], $3::bytea[]) AS a(tenant_id, key, answer)
WHERE k.tenant_id = a.tenant_id AND k.key = a.key;

-- name: release_keys
-- Gives back idempotency keys of requests that were refused: nothing was done under them.
DELETE FROM {kernel}.idempotency_keys k
USING unnest($1::uuid[], $2::text[]) AS a(tenant_id, key)
WHERE k.tenant_id = a.tenant_id AND k.key = a.key;

-- name: prune_keys
-- Deletes idempotency keys older than their retention, a chunk at a time.
DELETE FROM {kernel}.idempotency_keys
WHERE (tenant_id, key) IN (
  SELECT tenant_id, key FROM {kernel}.idempotency_keys WHERE created_at < $1
  ORDER BY created_at LIMIT $2);

-- name: prune_outbox
-- Deletes events that every group has passed and that are older than the retention, a chunk at a time.
DELETE FROM {kernel}.outbox o
USING (
  SELECT c.topic, c.partition, c.xid, c.seq
  FROM (SELECT topic, partition, min((xid::text)::bigint) AS passed FROM {kernel}.positions GROUP BY 1, 2) g
  CROSS JOIN LATERAL (
    SELECT x.topic, x.partition, x.xid, x.seq, x.occurred_at FROM {kernel}.outbox x
    WHERE x.topic = g.topic AND x.partition = g.partition AND x.xid < g.passed::text::xid8
    ORDER BY x.xid, x.seq LIMIT $2) c
  WHERE c.occurred_at < $1
) gone
WHERE o.topic = gone.topic AND o.partition = gone.partition AND o.xid = gone.xid AND o.seq = gone.seq;

-- name: prune_inbox
-- Deletes inbox marks older than the retention, a chunk at a time; ids are ordered by time.
DELETE FROM {kernel}.inbox WHERE (group_name, event_id) IN (
  SELECT i.group_name, i.event_id
  FROM (SELECT DISTINCT group_name FROM {kernel}.leases) g
  CROSS JOIN LATERAL (
    SELECT group_name, event_id, handled_at FROM {kernel}.inbox
    WHERE inbox.group_name = g.group_name ORDER BY event_id LIMIT $2) i
  WHERE i.handled_at < $1);

-- name: count_lag
-- Tells, for each group, how many events it has still to hear, up to a bound for each partition.
SELECT p.group_name, sum(b.waiting)::bigint AS waiting
FROM {kernel}.positions p
CROSS JOIN LATERAL (
  SELECT count(*) AS waiting FROM (
    SELECT 1 FROM {kernel}.outbox o
    WHERE o.topic = p.topic AND o.partition = p.partition AND (o.xid, o.seq) > (p.xid, p.seq)
    LIMIT $1) bounded
) b
GROUP BY p.group_name ORDER BY p.group_name;

-- name: count_running_flows
-- Counts running flows, dead letters and the age in seconds of the oldest running transaction.
SELECT (SELECT count(*) FROM {kernel}.flows WHERE ended_at IS NULL) AS flows,
       (SELECT count(*) FROM {kernel}.dead_letters WHERE state = 'dead') AS dead,
       (SELECT count(*) FROM {kernel}.dead_letters WHERE state = 'retrying') AS retrying,
       (SELECT COALESCE(max(extract(epoch FROM clock_timestamp() - xact_start)), 0)::float8
        FROM pg_stat_activity WHERE backend_xid IS NOT NULL) AS oldest_transaction_s;

-- name: delay_flow
-- Puts the deadline of a running flow instance off.
UPDATE {kernel}.flows SET deadline_at = $4
WHERE tenant_id = $2 AND flow = $1 AND key = $3 AND ended_at IS NULL;

-- name: check_handled
-- Finds events that a group has passed and neither handled nor parked.
SELECT h.group_name, o.type, o.event_id, o.key
FROM unnest($2::text[], $3::text[], $4::text[]) AS h(group_name, topic, type)
JOIN {kernel}.positions p ON p.group_name = h.group_name AND p.topic = h.topic
JOIN {kernel}.outbox o ON o.topic = p.topic AND o.partition = p.partition AND o.type = h.type
  AND (o.xid, o.seq) <= (p.xid, p.seq)
WHERE o.tenant_id = $1
  AND NOT EXISTS (SELECT 1 FROM {kernel}.inbox i WHERE i.group_name = h.group_name AND i.event_id = o.event_id)
  AND NOT EXISTS (SELECT 1 FROM {kernel}.dead_letters d
                  WHERE d.group_name = h.group_name AND d.event_id = o.event_id)
ORDER BY o.event_id LIMIT $5;

-- name: check_letters
-- Finds parked messages that are given up, or have been tried again for too long.
SELECT group_name, type, event_id, key, state, attempts, error
FROM {kernel}.dead_letters
WHERE tenant_id = $1 AND (state = 'dead' OR parked_at < $2)
ORDER BY event_id LIMIT $3;

-- name: check_flows
-- Finds running flows that have no deadline, or whose deadline has passed long ago.
SELECT flow, key, state, deadline_at
FROM {kernel}.flows
WHERE tenant_id = $1 AND ended_at IS NULL AND (deadline_at IS NULL OR deadline_at < $2)
ORDER BY flow, key LIMIT $3;

-- name: list_running_flows
-- Lists a tenant's flow instances that have not ended, oldest first.
SELECT flow, key, state, deadline_at, started_at FROM {kernel}.flows
WHERE tenant_id = $1 AND ended_at IS NULL ORDER BY started_at, flow, key LIMIT $2;

-- name: list_unhandled_events
-- Lists a tenant's events that a group hears by their type and has not marked as handled.
SELECT h.group_name, o.type, o.key, o.event_id, o.occurred_at
FROM {kernel}.outbox o
JOIN unnest($2::text[], $3::text[]) AS h(group_name, type) ON h.type = o.type
WHERE o.tenant_id = $1
  AND NOT EXISTS (
    SELECT 1 FROM {kernel}.inbox i
    WHERE i.group_name = h.group_name AND i.event_id = o.event_id)
ORDER BY o.event_id, h.group_name LIMIT $4;

-- name: list_repeated_events
-- Lists keys of a tenant about which an event of a type was announced more than once.
SELECT o.type, o.key, count(*)::int AS times
FROM {kernel}.outbox o
WHERE o.tenant_id = $1 AND o.type = ANY ($2::text[])
GROUP BY o.type, o.key HAVING count(*) > 1
ORDER BY o.type, o.key LIMIT $3;
