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
  AND NOT EXISTS (
    SELECT 1 FROM {kernel}.departures g
    WHERE g.tenant_id = d.tenant_id AND g.state = 'away' AND d.xid < g.xid)
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
-- Makes dead messages due again at once, but for those of the given tenants.
UPDATE {kernel}.dead_letters SET state = 'retrying', attempts = 0, next_at = $3
WHERE ($1::text IS NULL OR group_name = $1) AND ($2::uuid IS NULL OR event_id = $2)
  AND tenant_id <> ALL ($4::uuid[])
RETURNING tenant_id, group_name, event_id, type, key, correlation_id;

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
