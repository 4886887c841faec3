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
