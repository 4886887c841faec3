-- name: admit_tenants
-- Refuses a transaction that would write for tenants who have left or are leaving.
SELECT {kernel}.admit($1, $2);

-- name: mark_away
-- Notes that a tenant does not live here.
INSERT INTO {kernel}.departures (tenant_id, state, until) VALUES ($1, 'away', 'infinity')
ON CONFLICT (tenant_id) DO NOTHING;

-- name: list_departed
-- Lists the tenants that are away from here or leaving.
SELECT tenant_id FROM {kernel}.departures ORDER BY tenant_id;

-- name: read_departure
-- Tells whether a tenant is away from here or leaving.
SELECT state FROM {kernel}.departures WHERE tenant_id = $1;

-- name: read_unread
-- Tells which events some group had not heard when a tenant left.
SELECT unread FROM {kernel}.departures WHERE tenant_id = $1;

-- name: count_refused_ms
-- Tells for how long a tenant's writes have been refused here, in milliseconds.
SELECT (extract(epoch FROM clock_timestamp() - since) * 1000)::int
FROM {kernel}.departures WHERE tenant_id = $1;

-- name: begin_leaving
-- Refuses what would write for a tenant, for so many seconds at most.
INSERT INTO {kernel}.departures (tenant_id, state, until)
VALUES ($1, 'leaving', clock_timestamp() + make_interval(secs => $2))
ON CONFLICT (tenant_id) DO UPDATE SET since = excluded.since, until = excluded.until
WHERE departures.state = 'leaving'
RETURNING tenant_id;

-- name: is_leaving
-- Tells whether a tenant's writes are still refused while it leaves.
SELECT EXISTS (SELECT FROM {kernel}.departures
               WHERE tenant_id = $1 AND state = 'leaving' AND until > clock_timestamp());

-- name: end_leaving
-- Lets a tenant write here again that did not leave after all.
DELETE FROM {kernel}.departures WHERE tenant_id = $1 AND state = 'leaving';

-- name: leave_for_good
-- Makes a departure final; absent where its time is over: then the tenant has written here again.
UPDATE {kernel}.departures
SET state = 'away', until = 'infinity', xid = pg_current_xact_id(), unread = $2::uuid[]
WHERE tenant_id = $1 AND state = 'leaving' AND until > clock_timestamp()
RETURNING tenant_id;

-- name: settle_in
-- Lets a tenant write here from this commit on.
DELETE FROM {kernel}.departures WHERE tenant_id = $1;

-- name: set_pace
-- Holds up who writes for a tenant from outside, for some seconds each time; ends by itself.
INSERT INTO {kernel}.paces (tenant_id, held_s, until)
VALUES ($1, $2, clock_timestamp() + make_interval(secs => $3))
ON CONFLICT (tenant_id) DO UPDATE SET held_s = excluded.held_s, until = excluded.until;

-- name: empty_room
-- Waits until every transaction that writes for a tenant, and was let in before, has ended.
SELECT pg_advisory_xact_lock(20024, {kernel}.room($1));

-- name: watch_table
-- Begins to note a tenant's changes in a table.
SELECT {kernel}.watch($1::text::regclass, $2, $3);

-- name: unwatch_table
-- Ends to note a tenant's changes in a table.
SELECT {kernel}.unwatch($1::text::regclass, $2);

-- name: read_lines
-- Reads the next rows of a tenant in a table, in the order of its key.
SELECT l.line, l.key::text AS key
FROM {kernel}.lines_after($1::text::regclass, $2, $3::text::jsonb, $4) AS l;

-- name: read_lines_of
-- Reads the rows of a tenant that have one of the given keys.
SELECT l.line, l.key::text AS key FROM {kernel}.lines_of($1::text::regclass, $2, $3::text::jsonb) AS l;

-- name: put_lines
-- Replaces what a tenant has under keys by the given rows.
SELECT {kernel}.put_lines($1::text::regclass, $2, $3::text::jsonb, $4);

-- name: drop_lines
-- Deletes up to so many rows of a tenant in a table.
SELECT {kernel}.erase_rows($1::text::regclass, $2, $3);

-- name: weigh_lines
-- Counts a tenant's rows of a table, all or those of the given keys, and sums their hashes.
SELECT w.count, w.sum::text AS sum FROM {kernel}.weigh($1::text::regclass, $2, $3::text::jsonb) AS w;

-- name: list_captures
-- Lists the oldest changes that were noted, each with the keys of a statement, but for those given.
SELECT c.id, c.table_name, c.is_gone,
       (CASE jsonb_typeof(c.key) WHEN 'array' THEN c.key ELSE jsonb_build_array(c.key) END)::text AS keys
FROM {kernel}.captures c WHERE c.tenant_id = $1 AND c.id <> ALL ($2::bigint[])
ORDER BY c.id LIMIT $3;

-- name: count_captures
-- Counts the changes that were noted and not followed yet.
SELECT count(*) FROM {kernel}.captures WHERE tenant_id = $1;

-- name: forget_captures
-- Forgets changes that were followed.
DELETE FROM {kernel}.captures WHERE tenant_id = $1 AND id = ANY ($2::bigint[]);

-- name: list_cutoffs
-- Tells how far every reader of the log has come, by topic and partition.
SELECT DISTINCT ON (p.topic, p.partition) p.topic, p.partition, p.xid::text AS xid, p.seq
FROM {kernel}.positions p ORDER BY p.topic, p.partition, p.xid, p.seq;

-- name: skip_history
-- Moves readers that have read nothing yet past what movers put at the beginning of the log.
UPDATE {kernel}.positions SET xid = '2', seq = 0 WHERE xid < '2'::xid8 AND $1;

-- name: read_events
-- Reads a tenant's next events of each place, from after one position up to another.
SELECT e.topic, e.partition, e.xid::text AS xid, e.seq, e.event_id, e.type, e.line, e.hash::text AS hash
FROM unnest($2::text[], $3::smallint[], $4::text[], $5::bigint[], $6::text[], $7::bigint[])
  AS p(topic, partition, xid, seq, last_xid, last_seq)
CROSS JOIN LATERAL (
  SELECT o.topic, o.partition, o.xid, o.seq, o.event_id, o.type, o::text AS line,
         {kernel}.event_hash(o) AS hash
  FROM {kernel}.outbox o
  WHERE o.topic = p.topic AND o.partition = p.partition AND o.tenant_id = $1
    AND (o.xid, o.seq) > (p.xid::xid8, p.seq)
    AND (o.xid, o.seq) <= (p.last_xid::xid8, p.last_seq)
  ORDER BY o.xid, o.seq
  LIMIT $8
) AS e
ORDER BY e.topic, e.partition, e.xid, e.seq;

-- name: count_events
-- Counts a tenant's events after one position of each place, up to so many of each.
SELECT COALESCE(sum(e.count), 0)::bigint
FROM unnest($2::text[], $3::smallint[], $4::text[], $5::bigint[]) AS p(topic, partition, xid, seq)
CROSS JOIN LATERAL (
  SELECT count(*) AS count FROM (
    SELECT FROM {kernel}.outbox o
    WHERE o.topic = p.topic AND o.partition = p.partition AND o.tenant_id = $1
      AND (o.xid, o.seq) > (p.xid::xid8, p.seq)
    LIMIT $6) few
) AS e;

-- name: list_unread
-- Lists a tenant's events that a group still has to hear, or the trail to seal.
SELECT o.event_id
FROM unnest($2::text[], $3::text[], $4::text[]) AS h(group_name, topic, type)
JOIN {kernel}.positions p ON p.group_name = h.group_name AND p.topic = h.topic
JOIN {kernel}.outbox o ON o.topic = p.topic AND o.partition = p.partition AND o.type = h.type
  AND (o.xid, o.seq) > (p.xid, p.seq)
WHERE o.tenant_id = $1
  AND NOT EXISTS (SELECT 1 FROM {kernel}.inbox i WHERE i.group_name = h.group_name AND i.event_id = o.event_id)
  AND NOT EXISTS (SELECT 1 FROM {kernel}.dead_letters d
                  WHERE d.group_name = h.group_name AND d.event_id = o.event_id)
UNION
SELECT o.event_id
FROM {kernel}.positions p
JOIN {kernel}.outbox o ON o.topic = p.topic AND o.partition = p.partition AND (o.xid, o.seq) > (p.xid, p.seq)
WHERE p.group_name = $5 AND o.tenant_id = $1;

-- name: put_events
-- Adds events in their order, what is unread at the end of the log, the rest at its beginning; weighs them.
WITH put AS (
  INSERT INTO {kernel}.outbox AS o (topic, partition, xid, tenant_id, event_id, type, key, occurred_at,
                               correlation_id, causation_id, traceparent, data)
  SELECT r.topic, r.partition,
         CASE WHEN r.event_id = ANY ($2::uuid[]) THEN pg_current_xact_id() ELSE '1'::xid8 END,
         r.tenant_id, r.event_id, r.type, r.key, r.occurred_at, r.correlation_id, r.causation_id,
         r.traceparent, r.data
  FROM unnest($1::text[]::{kernel}.outbox[]) WITH ORDINALITY
    AS r(topic, partition, xid, seq, tenant_id, event_id, type, key, occurred_at, correlation_id,
         causation_id, traceparent, data, n)
  ORDER BY r.n
  RETURNING {kernel}.event_hash(o) AS hash
)
SELECT count(*) AS count, COALESCE(sum(hash), 0)::text AS sum FROM put;

-- name: weigh_events
-- Counts a tenant's events, all or those that a mover put, and sums their hashes.
SELECT count(*) AS count, COALESCE(sum({kernel}.event_hash(o)), 0)::text AS sum
FROM {kernel}.outbox o
WHERE o.tenant_id = $1
  AND ($2 OR o.xid = '1'::xid8 OR o.xid = pg_current_xact_id_if_assigned());

-- name: note_carried
-- Notes how far in another home's log a mover has come.
INSERT INTO {kernel}.carried (tenant_id, topic, partition, xid, seq)
SELECT $1, n.topic, n.partition, n.xid::xid8, n.seq
FROM unnest($2::text[], $3::smallint[], $4::text[], $5::bigint[]) AS n(topic, partition, xid, seq)
ORDER BY n.topic, n.partition
ON CONFLICT (tenant_id, topic, partition) DO UPDATE SET xid = excluded.xid, seq = excluded.seq;

-- name: list_carried
-- Tells how far in another home's log a mover has come.
SELECT topic, partition, xid::text AS xid, seq FROM {kernel}.carried WHERE tenant_id = $1
ORDER BY topic, partition;

-- name: forget_carried
-- Forgets how far in another home's log a mover has come.
DELETE FROM {kernel}.carried WHERE tenant_id = $1;

-- name: drop_put_events
-- Deletes the events that a mover put at the beginning of the log.
DELETE FROM {kernel}.outbox WHERE tenant_id = $1 AND xid = '1'::xid8;

-- name: drop_old_events
-- Deletes a tenant's events from before its departure, some at a time; those after are the directory's.
DELETE FROM {kernel}.outbox o WHERE o.tenant_id = $1 AND o.ctid = ANY (ARRAY(
  SELECT b.ctid FROM {kernel}.outbox b
  JOIN {kernel}.departures d ON d.tenant_id = b.tenant_id AND d.state = 'away'
  WHERE b.tenant_id = $1 AND b.xid < d.xid LIMIT $2));

-- name: read_letters
-- Reads a tenant's parked messages in the order of the log.
SELECT d::text AS line FROM {kernel}.dead_letters d WHERE d.tenant_id = $1 ORDER BY d.xid, d.seq;

-- name: put_letters
-- Adds parked messages in their order, before whatever is parked here later.
INSERT INTO {kernel}.dead_letters (tenant_id, group_name, event_id, topic, partition, xid, seq, type,
  key, occurred_at, correlation_id, traceparent, data, state, attempts, next_at, error, parked_at)
SELECT r.tenant_id, r.group_name, r.event_id, r.topic, r.partition, '1'::xid8,
       nextval(pg_get_serial_sequence('{kernel}.outbox', 'seq')), r.type,
       r.key, r.occurred_at, r.correlation_id, r.traceparent, r.data, r.state, r.attempts, r.next_at,
       r.error, r.parked_at
FROM (
  SELECT u.* FROM unnest($1::text[]::{kernel}.dead_letters[]) WITH ORDINALITY
    AS u(tenant_id, group_name, event_id, topic, partition, xid, seq, type, key, occurred_at,
         correlation_id, traceparent, data, state, attempts, next_at, error, parked_at, n)
  ORDER BY u.n) r;

-- name: list_sequences
-- Tells how far the sequences of identity columns in the given tables have come.
SELECT c.name, a.attname::text AS column_name,
       COALESCE(pg_sequence_last_value(pg_get_serial_sequence(c.name, a.attname)::regclass), 0) AS last
FROM unnest($1::text[]) AS c(name)
JOIN pg_attribute a ON a.attrelid = c.name::regclass AND a.attidentity <> '' AND NOT a.attisdropped;

-- name: raise_sequence
-- Moves the sequence of an identity column past the numbers that came from another home.
SELECT setval(s.name, $3 + 1000)
FROM (SELECT pg_get_serial_sequence($1::text, $2::text)::regclass AS name) s
WHERE COALESCE(pg_sequence_last_value(s.name), 0) < $3;

-- name: wake_readers
-- Wakes who hears the given types once this is committed.
SELECT pg_notify('serai_log', $2::text || '|' || t.name || '|' || pg_current_xact_id()::text)
FROM unnest($1::text[]) AS t(name);

-- name: send_on
-- Adds an event that was announced in another home, as it is, and wakes who hears it.
WITH written AS (
  INSERT INTO {kernel}.outbox (topic, partition, tenant_id, event_id, type, key, occurred_at,
                               correlation_id, traceparent, data)
  VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
)
SELECT pg_notify('serai_log', $11::text || '|' || $5 || '|' || pg_current_xact_id()::text);
