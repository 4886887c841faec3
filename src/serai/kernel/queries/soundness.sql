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

-- name: list_handled_events
-- Lists the newest events of a type that a group has handled, with what they say, newest first.
SELECT o.event_id, o.data FROM {kernel}.outbox o
WHERE o.tenant_id = $1 AND o.topic = $2 AND o.partition = $3 AND o.type = $4
  AND EXISTS (SELECT 1 FROM {kernel}.inbox i WHERE i.group_name = $5 AND i.event_id = o.event_id)
ORDER BY o.xid DESC, o.seq DESC LIMIT $6;

-- name: may_move_wall
-- Tells whether the walled role may call the function that changes settings (ADR 0021).
SELECT has_function_privilege($1::name, 'pg_catalog.set_config(text, text, boolean)', 'EXECUTE');
