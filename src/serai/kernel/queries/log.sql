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

-- name: look_for_work
-- Tells of groups and their topics how many places they have, whether one has more to hear, whether a tenant is to come, and what is due next.
SELECT (SELECT count(*)::int FROM unnest($1::text[], $2::text[]) AS g(name, topic)
        JOIN {kernel}.positions p ON p.group_name = g.name AND p.topic = g.topic) AS places,
       EXISTS (
         SELECT 1 FROM unnest($1::text[], $2::text[]) AS g(name, topic)
         JOIN {kernel}.positions p ON p.group_name = g.name AND p.topic = g.topic
         CROSS JOIN LATERAL (
           SELECT 1 FROM {kernel}.outbox o
           WHERE o.topic = p.topic AND o.partition = p.partition AND (o.xid, o.seq) > (p.xid, p.seq)
           LIMIT 1) unheard) AS is_unheard,
       -- Who is away from here is on the way to here, or there would be no looking: it is to be served at once.
       EXISTS (SELECT FROM {kernel}.departures) AS is_awaited,
       LEAST(
         (SELECT min(deadline_at) FROM {kernel}.flows WHERE ended_at IS NULL),
         (SELECT min(d.next_at) FROM (SELECT DISTINCT name FROM unnest($1::text[]) AS n(name)) g
          CROSS JOIN LATERAL (
            SELECT l.next_at FROM {kernel}.dead_letters l
            WHERE l.group_name = g.name AND l.state = 'retrying' ORDER BY l.next_at LIMIT 1) d)) AS due_at;

-- name: ensure_places
-- Notes the beginning of topics for a reader of the log that is no consumer group.
INSERT INTO {kernel}.positions (group_name, topic, partition)
SELECT $1, t.topic, generate_series(0, $3::int - 1)
FROM unnest($2::text[]) AS t(topic)
ON CONFLICT DO NOTHING;

-- name: gather_facts
-- Packs the next events of each given position, below the horizon, into one text for each tenant.
SELECT e.tenant_id, p.topic, p.partition, count(*)::int AS events, max(e.xid) AS xid,
       (array_agg(e.seq ORDER BY e.xid, e.seq))[count(*)] AS seq,
       string_agg(uuid_send(e.event_id) || uuid_send(e.key) || uuid_send(e.correlation_id)
                  || substring(sha256(convert_to(e.type, 'UTF8')) FROM 1 FOR 4),
                  ''::bytea ORDER BY e.xid, e.seq) AS lines
FROM unnest($1::text[], $2::smallint[], $3::text[], $4::bigint[]) AS p(topic, partition, xid, seq)
CROSS JOIN LATERAL (
  SELECT o.xid::text::bigint AS xid, o.seq, o.tenant_id, o.event_id, o.type, o.key, o.correlation_id
  FROM {kernel}.outbox o
  WHERE o.topic = p.topic AND o.partition = p.partition
    AND (o.xid, o.seq) > (p.xid::xid8, p.seq)
    AND o.xid < $6::text::xid8
  ORDER BY o.xid, o.seq
  LIMIT $5
) AS e
GROUP BY e.tenant_id, p.topic, p.partition
ORDER BY e.tenant_id, p.topic, p.partition;

-- name: move_places
-- Moves a reader's positions from where they were seen; counts those that were still there.
WITH held AS (
  SELECT p.topic, p.partition FROM {kernel}.positions p
  JOIN unnest($2::text[], $3::smallint[], $4::text[], $5::bigint[]) AS w(topic, partition, xid, seq)
    ON p.topic = w.topic AND p.partition = w.partition AND p.xid = w.xid::xid8 AND p.seq = w.seq
  WHERE p.group_name = $1
  ORDER BY p.topic, p.partition
  FOR UPDATE OF p
), moved AS (
  UPDATE {kernel}.positions p SET xid = n.xid::xid8, seq = n.seq
  FROM unnest($2::text[], $3::smallint[], $6::text[], $7::bigint[]) AS n(topic, partition, xid, seq)
  JOIN held h ON h.topic = n.topic AND h.partition = n.partition
  WHERE p.group_name = $1 AND p.topic = n.topic AND p.partition = n.partition
)
SELECT count(*)::int FROM held;
