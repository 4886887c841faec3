-- Messages are locked by tenant and id, the words of tenants by tenant and kind. An UPDATE takes its rows
-- as its join meets them, which is the order of the sorted side: tests/integration/test_lock_order.py
-- asserts the plans.

-- name: insert_contacts
-- Notes whom to write to about orders; the first address of an order stays.
INSERT INTO {notifications}.contacts (tenant_id, order_id, email, currency, total_minor)
SELECT n.tenant_id, n.order_id, n.email, n.currency, n.total_minor
FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::bigint[])
  AS n(tenant_id, order_id, email, currency, total_minor)
ORDER BY n.tenant_id, n.order_id
ON CONFLICT DO NOTHING;

-- name: find_contacts
-- Tells for which of the orders an address is known.
SELECT c.tenant_id, c.order_id
FROM {notifications}.contacts c
JOIN unnest($1::uuid[], $2::uuid[]) AS w(tenant_id, order_id)
  ON c.tenant_id = w.tenant_id AND c.order_id = w.order_id;

-- name: insert_messages
-- Queues messages; one whose event was heard before is there already and is left as it is.
INSERT INTO {notifications}.messages (tenant_id, id, order_id, kind, facts, status, created_at, due_at)
SELECT n.tenant_id, n.id, n.order_id, n.kind, n.facts, 'queued', n.created_at, n.due_at
FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::json[], $6::timestamptz[],
            $7::timestamptz[])
  AS n(tenant_id, id, order_id, kind, facts, created_at, due_at)
ORDER BY n.tenant_id, n.id
ON CONFLICT DO NOTHING;

-- name: claim_messages
-- Takes due messages, the tenants in turn and each one's oldest first; expired claims are due too.
WITH candidates AS (
  SELECT d.tenant_id, d.id
  FROM unnest($1::uuid[]) AS t(tenant_id)
  CROSS JOIN LATERAL (
    SELECT q.tenant_id, q.id, q.due_at, row_number() OVER (ORDER BY q.due_at) AS turn
    FROM (
      SELECT m.tenant_id, m.id, m.due_at FROM {notifications}.messages m
      WHERE m.tenant_id = t.tenant_id AND m.status IN ('queued', 'sending') AND m.due_at <= $2
      ORDER BY m.due_at LIMIT $4
    ) AS q
  ) AS d
  ORDER BY d.turn, d.due_at LIMIT $4
), picked AS (
  SELECT m.tenant_id, m.id, m.order_id
  FROM {notifications}.messages m
  JOIN candidates c ON m.tenant_id = c.tenant_id AND m.id = c.id
  WHERE m.status = ANY ($5::text[]) AND m.due_at <= $2
  ORDER BY m.tenant_id, m.id
  FOR UPDATE OF m SKIP LOCKED
)
UPDATE {notifications}.messages m
SET status = 'sending', attempts = m.attempts + 1, due_at = $3
FROM picked p
LEFT JOIN {notifications}.contacts c ON c.tenant_id = p.tenant_id AND c.order_id = p.order_id
WHERE m.tenant_id = p.tenant_id AND m.id = p.id
RETURNING m.tenant_id, m.id, m.order_id, m.kind, m.facts, m.status, m.attempts, m.round, m.error,
          m.created_at, m.due_at, m.sent_at, c.email, c.currency, c.total_minor;

-- name: record_messages
-- Writes down what became of claimed messages, unless the claim has run out and is another's.
UPDATE {notifications}.messages m
SET status = n.status, due_at = n.due_at, error = n.error, sent_at = n.sent_at
FROM (
  SELECT u.*
  FROM unnest($1::uuid[], $2::uuid[], $3::int[], $4::int[], $5::text[], $6::timestamptz[], $7::text[],
              $8::timestamptz[])
    AS u(tenant_id, id, attempts, round, status, due_at, error, sent_at)
  ORDER BY u.tenant_id, u.id
) n
WHERE m.tenant_id = n.tenant_id AND m.id = n.id AND m.status = $9
  AND m.attempts = n.attempts AND m.round = n.round;

-- name: lock_messages
-- Locks messages and reads them with their contacts.
SELECT m.tenant_id, m.id, m.order_id, m.kind, m.facts, m.status, m.attempts, m.round, m.error,
       m.created_at, m.due_at, m.sent_at, c.email, c.currency, c.total_minor
FROM {notifications}.messages m
JOIN unnest($1::uuid[], $2::uuid[]) AS w(tenant_id, id) ON m.tenant_id = w.tenant_id AND m.id = w.id
LEFT JOIN {notifications}.contacts c ON c.tenant_id = m.tenant_id AND c.order_id = m.order_id
ORDER BY m.tenant_id, m.id
FOR UPDATE OF m;

-- name: requeue_messages
-- Queues locked messages anew, for another round of attempts.
UPDATE {notifications}.messages m
SET status = 'queued', due_at = n.due_at, attempts = 0, round = n.round, error = '', sent_at = NULL
FROM unnest($1::uuid[], $2::uuid[], $3::timestamptz[], $4::int[]) AS n(tenant_id, id, due_at, round)
WHERE m.tenant_id = n.tenant_id AND m.id = n.id;

-- name: list_messages
-- Lists a tenant's messages, newest first, a page at a time.
SELECT m.tenant_id, m.id, m.order_id, m.kind, m.facts, m.status, m.attempts, m.round, m.error,
       m.created_at, m.due_at, m.sent_at, c.email, c.currency, c.total_minor
FROM {notifications}.messages m
LEFT JOIN {notifications}.contacts c ON c.tenant_id = m.tenant_id AND c.order_id = m.order_id
WHERE m.tenant_id = $1 AND m.id < $2
ORDER BY m.id DESC LIMIT $3;

-- name: list_messages_in_status
-- Lists a tenant's messages in one status, newest first, a page at a time.
SELECT m.tenant_id, m.id, m.order_id, m.kind, m.facts, m.status, m.attempts, m.round, m.error,
       m.created_at, m.due_at, m.sent_at, c.email, c.currency, c.total_minor
FROM {notifications}.messages m
LEFT JOIN {notifications}.contacts c ON c.tenant_id = m.tenant_id AND c.order_id = m.order_id
WHERE m.tenant_id = $1 AND m.id < $2 AND m.status = $4 AND m.status <> ''
ORDER BY m.id DESC LIMIT $3;

-- name: list_messages_of_order
-- Lists the messages about one order, in any status or in one, newest first, a page at a time.
SELECT m.tenant_id, m.id, m.order_id, m.kind, m.facts, m.status, m.attempts, m.round, m.error,
       m.created_at, m.due_at, m.sent_at, c.email, c.currency, c.total_minor
FROM {notifications}.messages m
LEFT JOIN {notifications}.contacts c ON c.tenant_id = m.tenant_id AND c.order_id = m.order_id
WHERE m.tenant_id = $1 AND m.id < $2 AND m.order_id = $5 AND m.round > 0
  AND ($4::text IS NULL OR m.status = $4)
ORDER BY m.id DESC LIMIT $3;

-- name: find_templates
-- Reads the words that tenants have written themselves.
SELECT t.tenant_id, t.kind, t.subject, t.text, t.html, t.version, t.updated_at
FROM {notifications}.templates t
JOIN unnest($1::uuid[], $2::text[]) AS w(tenant_id, kind) ON t.tenant_id = w.tenant_id AND t.kind = w.kind;

-- name: lock_templates
-- Locks and reads the words that tenants have written themselves.
SELECT t.tenant_id, t.kind, t.subject, t.text, t.html, t.version, t.updated_at
FROM {notifications}.templates t
JOIN unnest($1::uuid[], $2::text[]) AS w(tenant_id, kind) ON t.tenant_id = w.tenant_id AND t.kind = w.kind
ORDER BY t.tenant_id, t.kind
FOR UPDATE OF t;

-- name: insert_templates
-- Adds words of tenants that had none; where another was faster nothing comes back.
INSERT INTO {notifications}.templates (tenant_id, kind, subject, text, html, version, updated_at)
SELECT n.tenant_id, n.kind, n.subject, n.text, n.html, n.version, n.updated_at
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::int[], $7::timestamptz[])
  AS n(tenant_id, kind, subject, text, html, version, updated_at)
ORDER BY n.tenant_id, n.kind
ON CONFLICT DO NOTHING
RETURNING kind;

-- name: update_templates
-- Writes words over locked ones.
UPDATE {notifications}.templates t
SET subject = n.subject, text = n.text, html = n.html, version = n.version,
    updated_at = n.updated_at
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::int[], $7::timestamptz[])
  AS n(tenant_id, kind, subject, text, html, version, updated_at)
WHERE t.tenant_id = n.tenant_id AND t.kind = n.kind;

-- name: check_overdue
-- Finds messages that should have gone out by the given time and did not.
SELECT m.id, m.order_id, m.kind, m.status, m.attempts, m.due_at
FROM {notifications}.messages m
WHERE m.tenant_id = $1 AND m.status IN ('queued', 'sending') AND m.due_at < $2
ORDER BY m.due_at LIMIT $3;

-- name: find_sender
-- Tells since when somebody sends here without a long pause, and when that was last noted.
SELECT here_since, seen_at FROM {notifications}.sender WHERE is_here;

-- name: mark_sender
-- Notes that somebody sends here now; who was not seen since the given time is here anew.
INSERT INTO {notifications}.sender AS s (is_here, here_since, seen_at) VALUES (true, $1, $1)
ON CONFLICT (is_here) DO UPDATE SET
  here_since = CASE WHEN s.seen_at < $2 THEN excluded.here_since ELSE s.here_since END,
  seen_at = excluded.seen_at;

-- name: tell_unconfirmed
-- Lists those of the given orders for which no confirmation was ever queued.
SELECT w.order_id FROM unnest($2::uuid[]) AS w(order_id)
WHERE NOT EXISTS (
  SELECT 1 FROM {notifications}.messages m
  WHERE m.tenant_id = $1 AND m.order_id = w.order_id AND m.round > 0 AND m.kind = 'order_confirmed')
ORDER BY w.order_id;

-- name: prune_messages
-- Deletes messages that came to their end before the given time, a chunk at a time; ids are ordered by time.
DELETE FROM {notifications}.messages m
USING (
  SELECT d.tenant_id, d.id, d.status
  FROM unnest($1::uuid[]) AS t(tenant_id) CROSS JOIN unnest($2::text[]) AS s(status)
  CROSS JOIN LATERAL (
    SELECT q.tenant_id, q.id, q.status FROM {notifications}.messages q
    WHERE q.tenant_id = t.tenant_id AND q.status = s.status AND q.status <> '' AND q.id < $3
      AND COALESCE(q.sent_at, q.created_at) < $4
    ORDER BY q.id LIMIT $5
  ) AS d
  ORDER BY d.tenant_id, d.id LIMIT $5
) gone
WHERE m.tenant_id = gone.tenant_id AND m.id = gone.id AND m.status = gone.status;

-- name: find_end_of_contacts
-- Tells where a chunk of a tenant's contacts below an id ends, from a place on.
SELECT c.order_id FROM (
  SELECT n.order_id FROM {notifications}.contacts n
  WHERE n.tenant_id = $1 AND n.order_id > $2 AND n.order_id < $3 ORDER BY n.order_id LIMIT $4
) c ORDER BY c.order_id DESC LIMIT 1;

-- name: list_messages_to_person
-- Lists the messages to a person about a chunk of orders.
SELECT m.id, m.order_id, m.kind, m.status, m.created_at, m.sent_at, c.email
FROM {notifications}.contacts c
JOIN {notifications}.messages m ON m.tenant_id = c.tenant_id AND m.order_id = c.order_id AND m.round > 0
WHERE c.tenant_id = $1 AND c.order_id > $2 AND c.order_id <= $3 AND starts_with(c.email, $4)
ORDER BY c.order_id, m.id;

-- name: tell_messages_of_orders
-- Lists the messages about orders.
SELECT m.id, m.order_id, m.kind, m.status, m.created_at, m.sent_at, c.email
FROM {notifications}.messages m
LEFT JOIN {notifications}.contacts c ON c.tenant_id = m.tenant_id AND c.order_id = m.order_id
WHERE m.tenant_id = $1 AND m.order_id = ANY ($2::uuid[]) AND m.round > 0
ORDER BY m.order_id, m.id;

-- name: empty_contacts
-- Takes the addresses of orders out, and keeps those out that are heard of later.
INSERT INTO {notifications}.contacts (tenant_id, order_id, email, currency, total_minor)
SELECT $1, o.order_id, '', '', 0 FROM unnest($2::uuid[]) AS o(order_id) ORDER BY o.order_id
ON CONFLICT (tenant_id, order_id) DO UPDATE SET email = '';

-- name: erase_contacts
-- Deletes of a chunk of a tenant's contacts a person's, or all.
WITH wanted AS (
  SELECT c.tenant_id, c.order_id FROM {notifications}.contacts c
  WHERE c.tenant_id = $1 AND c.order_id > $2 AND c.order_id <= $3
    AND ($4::text IS NULL OR starts_with(c.email, $4))
  ORDER BY c.tenant_id, c.order_id FOR UPDATE
)
DELETE FROM {notifications}.contacts c USING wanted w
WHERE c.tenant_id = w.tenant_id AND c.order_id = w.order_id;

-- name: lock_clear_contacts
-- Locks and reads a chunk of tenants' contacts in clear, and whether they are of orders.
SELECT c.tenant_id, c.order_id, c.email, c.currency <> '' AS is_of_order FROM {notifications}.contacts c
WHERE c.tenant_id = ANY ($1::uuid[]) AND c.email LIKE '%@%'
ORDER BY c.tenant_id, c.order_id LIMIT $2 FOR UPDATE;

-- name: seal_contacts
-- Writes the addresses of locked contacts as they may rest.
UPDATE {notifications}.contacts c SET email = n.email
FROM unnest($1::uuid[], $2::uuid[], $3::text[]) AS n(tenant_id, order_id, email)
WHERE c.tenant_id = n.tenant_id AND c.order_id = n.order_id;
