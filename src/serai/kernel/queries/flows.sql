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
-- Lists running flow instances whose deadline has passed, oldest first; of who lives here.
SELECT f.tenant_id, f.flow, f.key, f.state FROM {kernel}.flows f
WHERE f.ended_at IS NULL AND f.deadline_at <= $1
  AND NOT EXISTS (
    SELECT 1 FROM {kernel}.departures g WHERE g.tenant_id = f.tenant_id AND g.state = 'away')
ORDER BY f.deadline_at LIMIT $2;

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
