-- Entries are added and read, never changed; who adds holds the fence of the tenant's partition.

-- name: find_heads
-- Reads where the chains of tenants end.
SELECT t.tenant_id, e.seq, e.hash
FROM unnest($1::uuid[]) AS t(tenant_id) CROSS JOIN LATERAL {audit}.head_of(t.tenant_id) AS e;

-- name: insert_entries
-- Adds entries to the ends of chains.
INSERT INTO {audit}.entries (tenant_id, seq, recorded_at, event_id, action, actor_kind, actor_id,
                             address, subject_kind, subject_id, correlation_id, causation_id,
                             request_id, detail, previous, hash)
SELECT n.tenant_id, n.seq, n.recorded_at, n.event_id, n.action, n.actor_kind, n.actor_id,
       n.address, n.subject_kind, n.subject_id, n.correlation_id, n.causation_id,
       n.request_id, n.detail, n.previous, n.hash
FROM unnest($1::uuid[], $2::bigint[], $3::timestamptz[], $4::uuid[], $5::text[], $6::text[],
            $7::uuid[], $8::text[], $9::text[], $10::text[], $11::uuid[], $12::uuid[],
            $13::text[], $14::json[], $15::bytea[], $16::bytea[])
  AS n(tenant_id, seq, recorded_at, event_id, action, actor_kind, actor_id, address, subject_kind,
       subject_id, correlation_id, causation_id, request_id, detail, previous, hash)
ORDER BY n.tenant_id, n.seq;

-- name: find_entry
-- Reads one entry.
SELECT e.tenant_id, e.seq, e.recorded_at, e.event_id, e.action, e.actor_kind, e.actor_id, e.address,
       e.subject_kind, e.subject_id, e.correlation_id, e.causation_id, e.request_id, e.detail,
       e.previous, e.hash
FROM {audit}.entries e WHERE e.tenant_id = $1 AND e.seq = $2;

-- name: read_piece
-- Reads the next entries of a chain, in its order.
SELECT e.tenant_id, e.seq, e.recorded_at, e.event_id, e.action, e.actor_kind, e.actor_id, e.address,
       e.subject_kind, e.subject_id, e.correlation_id, e.causation_id, e.request_id, e.detail,
       e.previous, e.hash
FROM {audit}.entries e WHERE e.tenant_id = $1 AND e.seq > $2 ORDER BY e.seq LIMIT $3;

-- name: list_entries
-- Looks through the next so many entries, newest first.
SELECT e.tenant_id, e.seq, e.recorded_at, e.event_id, e.action, e.actor_kind, e.actor_id, e.address,
       e.subject_kind, e.subject_id, e.correlation_id, e.causation_id, e.request_id, e.detail,
       e.previous, e.hash
FROM {audit}.entries e
WHERE e.tenant_id = $1 AND e.seq < $2 AND e.seq >= $3 ORDER BY e.seq DESC LIMIT $4;

-- name: list_of_request
-- Looks through the next so many entries of one correlation, newest first.
SELECT e.tenant_id, e.seq, e.recorded_at, e.event_id, e.action, e.actor_kind, e.actor_id, e.address,
       e.subject_kind, e.subject_id, e.correlation_id, e.causation_id, e.request_id, e.detail,
       e.previous, e.hash
FROM {audit}.entries e
WHERE e.tenant_id = $1 AND e.seq < $2 AND e.seq >= $3 AND e.correlation_id = $5
  AND e.seq > 0
ORDER BY e.seq DESC LIMIT $4;

-- name: list_of_subject
-- Looks through the next so many entries about one subject, newest first.
SELECT e.tenant_id, e.seq, e.recorded_at, e.event_id, e.action, e.actor_kind, e.actor_id, e.address,
       e.subject_kind, e.subject_id, e.correlation_id, e.causation_id, e.request_id, e.detail,
       e.previous, e.hash
FROM {audit}.entries e
WHERE e.tenant_id = $1 AND e.seq < $2 AND e.seq >= $3 AND e.subject_id = $5
  AND e.seq > 0
ORDER BY e.seq DESC LIMIT $4;

-- name: list_of_actor
-- Looks through the next so many entries of one actor, newest first.
SELECT e.tenant_id, e.seq, e.recorded_at, e.event_id, e.action, e.actor_kind, e.actor_id, e.address,
       e.subject_kind, e.subject_id, e.correlation_id, e.causation_id, e.request_id, e.detail,
       e.previous, e.hash
FROM {audit}.entries e
WHERE e.tenant_id = $1 AND e.seq < $2 AND e.seq >= $3 AND e.actor_id = $5
  AND e.seq > 0
ORDER BY e.seq DESC LIMIT $4;

-- name: list_of_action
-- Looks through the next so many entries of one action, newest first.
SELECT e.tenant_id, e.seq, e.recorded_at, e.event_id, e.action, e.actor_kind, e.actor_id, e.address,
       e.subject_kind, e.subject_id, e.correlation_id, e.causation_id, e.request_id, e.detail,
       e.previous, e.hash
FROM {audit}.entries e
WHERE e.tenant_id = $1 AND e.seq < $2 AND e.seq >= $3 AND e.action = $5
  AND e.seq > 0
ORDER BY e.seq DESC LIMIT $4;

-- name: read_time
-- Tells when the first entry from a place on was recorded.
SELECT e.recorded_at FROM {audit}.entries e
WHERE e.tenant_id = $1 AND e.seq >= $2 ORDER BY e.seq LIMIT 1;

-- name: find_anchor
-- Reads the last entry that retention has dropped.
SELECT a.seq, a.hash FROM {audit}.anchors a
WHERE a.tenant_id = $1 ORDER BY a.seq DESC LIMIT 1;

-- name: forget_entries
-- Drops a tenant's oldest entries whose retention is over, at most so many.
SELECT {audit}.forget($1, $2);
