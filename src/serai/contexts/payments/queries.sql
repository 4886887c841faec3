-- Intents are locked by tenant and order, their refunds under them, and after both the looks by tenant,
-- kind and id. An UPDATE takes its rows as its join meets them, which is the order of the sorted side:
-- tests/integration/test_lock_order.py asserts the plans.

-- name: insert_intents
-- Adds intents in the order of their ids; those whose order has one already do not come back.
INSERT INTO {payments}.intents (tenant_id, order_id, status, amount_minor, currency, card,
  is_capture_manual, correlation_id, created_at, asked_at, settled_at)
SELECT a.tenant_id, a.order_id, a.status, a.amount_minor, a.currency, a.card,
  a.is_capture_manual, a.correlation_id, a.created_at, a.asked_at, a.settled_at
FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::bigint[], $5::text[], $6::text[],
            $7::boolean[], $8::uuid[], $9::timestamptz[], $10::timestamptz[], $11::timestamptz[])
  AS a(tenant_id, order_id, status, amount_minor, currency, card, is_capture_manual,
       correlation_id, created_at, asked_at, settled_at)
ORDER BY a.tenant_id, a.order_id
ON CONFLICT DO NOTHING
RETURNING order_id;

-- name: list_requested
-- Tells which of the given intents, by their places, are still requested.
SELECT a.n FROM unnest($1::uuid[], $2::uuid[]) WITH ORDINALITY AS a(tenant_id, order_id, n)
JOIN {payments}.intents i ON i.tenant_id = a.tenant_id AND i.order_id = a.order_id
WHERE i.status = 'requested';

-- name: settle_requested
-- Settles, in the order of their ids, those intents that are still requested; tells their places.
UPDATE {payments}.intents i
SET status = a.status, captured_minor = a.captured_minor, provider_ref = a.provider_ref,
    reason = a.reason, version = i.version + 1,
    card = CASE WHEN a.status = 'unknown' THEN i.card END,
    settled_at = CASE WHEN a.status IN ('captured', 'declined') THEN $7::timestamptz END
FROM (
  SELECT w.* FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::bigint[], $5::text[], $6::text[])
    WITH ORDINALITY AS w(tenant_id, order_id, status, captured_minor, provider_ref, reason, n)
  ORDER BY w.tenant_id, w.order_id
) a
WHERE i.tenant_id = a.tenant_id AND i.order_id = a.order_id AND i.status = 'requested'
RETURNING a.n;

-- name: find_intents
-- Reads intents by their ids.
SELECT i.tenant_id, i.order_id, i.status, i.amount_minor, i.currency, i.card,
  i.is_capture_manual, i.correlation_id, i.created_at, i.asked_at, i.settled_at,
  i.capture_asked_minor, i.captured_minor, i.refunding_minor, i.refunded_minor, i.is_closed,
  i.provider_ref, i.reason, i.version
FROM {payments}.intents i
JOIN unnest($1::uuid[], $2::uuid[]) AS a(tenant_id, order_id)
  ON i.tenant_id = a.tenant_id AND i.order_id = a.order_id;

-- name: lock_intents
-- Reads and locks intents by their ids, in the order of those.
SELECT i.tenant_id, i.order_id, i.status, i.amount_minor, i.currency, i.card,
  i.is_capture_manual, i.correlation_id, i.created_at, i.asked_at, i.settled_at,
  i.capture_asked_minor, i.captured_minor, i.refunding_minor, i.refunded_minor, i.is_closed,
  i.provider_ref, i.reason, i.version
FROM {payments}.intents i
JOIN unnest($1::uuid[], $2::uuid[]) AS a(tenant_id, order_id)
  ON i.tenant_id = a.tenant_id AND i.order_id = a.order_id
ORDER BY i.tenant_id, i.order_id
FOR UPDATE OF i;

-- name: save_intents
-- Writes intents back that the transaction has locked.
UPDATE {payments}.intents i
SET status = a.status, card = a.card, asked_at = a.asked_at, settled_at = a.settled_at,
    capture_asked_minor = a.capture_asked_minor, captured_minor = a.captured_minor,
    refunding_minor = a.refunding_minor, refunded_minor = a.refunded_minor,
    is_closed = a.is_closed, provider_ref = a.provider_ref, reason = a.reason, version = a.version
FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::timestamptz[], $6::timestamptz[],
            $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[], $11::boolean[], $12::text[],
            $13::text[], $14::integer[])
  AS a(tenant_id, order_id, status, card, asked_at, settled_at, capture_asked_minor,
       captured_minor, refunding_minor, refunded_minor, is_closed, provider_ref, reason, version)
WHERE i.tenant_id = a.tenant_id AND i.order_id = a.order_id;

-- name: insert_refunds
-- Adds refunds of intents that the transaction has locked.
INSERT INTO {payments}.refunds (tenant_id, refund_id, order_id, status, amount_minor,
  currency, reason, is_told, correlation_id, created_at)
SELECT a.tenant_id, a.refund_id, a.order_id, a.status, a.amount_minor,
  a.currency, a.reason, a.is_told, a.correlation_id, a.created_at
FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::bigint[], $6::text[], $7::text[],
            $8::boolean[], $9::uuid[], $10::timestamptz[])
  AS a(tenant_id, refund_id, order_id, status, amount_minor, currency, reason, is_told,
       correlation_id, created_at);

-- name: find_refunds
-- Reads refunds by their ids.
SELECT r.tenant_id, r.refund_id, r.order_id, r.status, r.amount_minor, r.currency,
  r.reason, r.is_told, r.correlation_id, r.created_at, r.settled_at, r.failure
FROM {payments}.refunds r
JOIN unnest($1::uuid[], $2::uuid[]) AS a(tenant_id, refund_id)
  ON r.tenant_id = a.tenant_id AND r.refund_id = a.refund_id;

-- name: save_refunds
-- Writes refunds back whose intents the transaction has locked.
UPDATE {payments}.refunds r
SET status = a.status, settled_at = a.settled_at, failure = a.failure
FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::timestamptz[], $5::text[])
  AS a(tenant_id, refund_id, status, settled_at, failure)
WHERE r.tenant_id = a.tenant_id AND r.refund_id = a.refund_id;

-- name: add_looks
-- Puts matters down as open; one that is open already keeps its time.
INSERT INTO {payments}.looks (tenant_id, kind, thing_id, due_at)
SELECT a.tenant_id, $1, a.thing_id, $4
FROM unnest($2::uuid[], $3::uuid[]) AS a(tenant_id, thing_id)
ORDER BY a.tenant_id, a.thing_id
ON CONFLICT DO NOTHING;

-- name: take_due_looks
-- Counts a look at each matter that is due, the longest due first, and puts it off for the while.
WITH due AS (
  SELECT l.tenant_id, l.kind, l.thing_id FROM {payments}.looks l
  WHERE l.tenant_id = ANY ($1::uuid[]) AND l.due_at <= $2
  ORDER BY l.due_at LIMIT $4 FOR UPDATE SKIP LOCKED
)
UPDATE {payments}.looks l SET looks = l.looks + 1, due_at = $3
FROM due
WHERE l.tenant_id = due.tenant_id AND l.kind = due.kind AND l.thing_id = due.thing_id
RETURNING l.tenant_id, l.kind, l.thing_id, l.looks, l.due_at;

-- name: move_looks
-- Sets when open matters are due next; without a time they are given up.
UPDATE {payments}.looks l SET due_at = COALESCE(a.due_at, 'infinity')
FROM (
  SELECT u.tenant_id, u.kind, u.thing_id, u.due_at
  FROM unnest($1::uuid[], $2::text[], $3::uuid[], $4::timestamptz[]) AS u(tenant_id, kind, thing_id, due_at)
  ORDER BY u.tenant_id, u.kind, u.thing_id
) a
WHERE l.tenant_id = a.tenant_id AND l.kind = a.kind AND l.thing_id = a.thing_id;

-- name: end_looks
-- Forgets matters that are settled.
DELETE FROM {payments}.looks l
USING (
  SELECT u.tenant_id, u.kind, u.thing_id
  FROM unnest($1::uuid[], $2::text[], $3::uuid[]) AS u(tenant_id, kind, thing_id)
  ORDER BY u.tenant_id, u.kind, u.thing_id
) a
WHERE l.tenant_id = a.tenant_id AND l.kind = a.kind AND l.thing_id = a.thing_id;

-- name: list_given_up
-- Lists open matters that are not looked at any more, by id, a page at a time.
SELECT l.kind, COALESCE(r.order_id, l.thing_id) AS order_id, l.thing_id,
  COALESCE(r.status, i.status, 'gone') AS status, COALESCE(r.amount_minor, i.amount_minor, 0) AS amount_minor,
  COALESCE(r.currency, i.currency, '') AS currency, l.looks
FROM {payments}.looks l
LEFT JOIN {payments}.intents i ON l.kind = 'intent' AND i.tenant_id = l.tenant_id AND i.order_id = l.thing_id
LEFT JOIN {payments}.refunds r ON l.kind = 'refund' AND r.tenant_id = l.tenant_id AND r.refund_id = l.thing_id
WHERE l.tenant_id = $1 AND l.due_at = 'infinity' AND ($2::uuid IS NULL OR l.thing_id > $2)
ORDER BY l.thing_id LIMIT $3;

-- name: retry_looks
-- Makes matters that were given up due again, of one order or all, up to a bound; locks them by kind and id.
WITH given_up AS (
  SELECT l.tenant_id, l.kind, l.thing_id FROM {payments}.looks l
  WHERE l.tenant_id = $1 AND l.due_at = 'infinity'
    AND ($2::uuid IS NULL OR (l.kind = 'intent' AND l.thing_id = $2)
         OR (l.kind = 'refund' AND EXISTS (
           SELECT 1 FROM {payments}.refunds r
           WHERE r.tenant_id = l.tenant_id AND r.refund_id = l.thing_id AND r.order_id = $2)))
  ORDER BY l.tenant_id, l.kind, l.thing_id LIMIT $4 FOR UPDATE OF l
)
UPDATE {payments}.looks l SET due_at = $3, looks = 0
FROM given_up g
WHERE l.tenant_id = g.tenant_id AND l.kind = g.kind AND l.thing_id = g.thing_id
RETURNING l.kind, l.thing_id;

-- name: find_payment
-- Reads a payment as the API shows it.
SELECT i.order_id AS id, i.order_id, i.status, i.amount_minor, i.currency, i.captured_minor,
  i.refunding_minor, i.refunded_minor, i.is_capture_manual, i.provider_ref, i.reason, i.created_at,
  i.settled_at, i.version
FROM {payments}.intents i WHERE i.tenant_id = $1 AND i.order_id = $2;

-- name: list_refunds
-- Reads the refunds of a payment as the API shows them, oldest first.
SELECT r.refund_id, r.order_id AS payment_id, r.order_id, r.status, r.amount_minor, r.currency, r.reason,
  r.failure, r.created_at, r.settled_at
FROM {payments}.refunds r WHERE r.tenant_id = $1 AND r.order_id = $2
ORDER BY r.refund_id LIMIT $3;

-- name: list_payments
-- Reads a page of payments below an id, newest first.
SELECT i.order_id AS id, i.order_id, i.status, i.amount_minor, i.currency, i.captured_minor,
  i.refunding_minor, i.refunded_minor, i.is_capture_manual, i.provider_ref, i.reason, i.created_at,
  i.settled_at, i.version
FROM {payments}.intents i
WHERE i.tenant_id = $1 AND i.order_id < $2
ORDER BY i.order_id DESC LIMIT $3;

-- name: find_scan_end
-- Tells where a page that looks at so many payments below an id ends; null where it sees them all.
SELECT i.order_id FROM {payments}.intents i
WHERE i.tenant_id = $1 AND i.order_id < $2
ORDER BY i.order_id DESC OFFSET $3 LIMIT 1;

-- name: list_payments_by_status
-- Reads the payments of one status from an id on and below another, newest first.
SELECT i.order_id AS id, i.order_id, i.status, i.amount_minor, i.currency, i.captured_minor,
  i.refunding_minor, i.refunded_minor, i.is_capture_manual, i.provider_ref, i.reason, i.created_at,
  i.settled_at, i.version
FROM {payments}.intents i
WHERE i.tenant_id = $1 AND i.status = $2 AND i.order_id < $3 AND i.order_id >= $4
ORDER BY i.order_id DESC LIMIT $5;

-- name: list_ended
-- Lists the orders whose payment ended without money before the given time, a page at a time.
SELECT i.order_id
FROM {payments}.intents i
WHERE i.tenant_id = $1 AND i.order_id > $2 AND i.status IN ('declined', 'withdrawn') AND i.settled_at < $3
ORDER BY i.order_id LIMIT $4;

-- name: check_captures
-- Finds payments of which not once what was asked for was captured.
SELECT i.order_id, i.status, i.amount_minor, i.captured_minor
FROM {payments}.intents i
WHERE i.tenant_id = $1 AND i.status = 'captured' AND i.amount_minor > 0
  AND (i.captured_minor < 1 OR i.captured_minor > i.amount_minor
       OR (i.captured_minor <> i.amount_minor AND NOT i.is_capture_manual))
ORDER BY i.order_id LIMIT $2;

-- name: check_refunds
-- Finds payments that disagree with their refunds, and ended ones that keep money.
SELECT COALESCE(i.order_id, r.order_id) AS order_id, i.status, i.captured_minor,
  i.refunding_minor, i.refunded_minor, r.refunding_minor AS refunds_open_minor,
  r.refunded_minor AS refunds_settled_minor
FROM (SELECT * FROM {payments}.intents WHERE tenant_id = $1) i
FULL JOIN (
  SELECT order_id,
    COALESCE(sum(amount_minor) FILTER (WHERE status IN ('requested', 'unknown')), 0)::bigint
      AS refunding_minor,
    COALESCE(sum(amount_minor) FILTER (WHERE status = 'settled'), 0)::bigint AS refunded_minor
  FROM {payments}.refunds WHERE tenant_id = $1 GROUP BY order_id
) r ON r.order_id = i.order_id
WHERE i.order_id IS NULL
  OR i.refunding_minor <> COALESCE(r.refunding_minor, 0)
  OR i.refunded_minor <> COALESCE(r.refunded_minor, 0)
  OR (i.status IN ('declined', 'withdrawn')
      AND i.captured_minor <> i.refunding_minor + i.refunded_minor)
ORDER BY 1 LIMIT $2;

-- name: check_open
-- Finds what has been open for longer than it may be: not asked for since, not settled since, given up.
SELECT o.kind, o.thing_id, o.status, o.since FROM (
  SELECT 'intent' AS kind, i.order_id AS thing_id, i.status, i.asked_at AS since
  FROM {payments}.intents i
  WHERE i.tenant_id = $1 AND ((i.status = 'requested' AND i.asked_at < $2)
    OR (i.status = 'unknown' AND i.asked_at < $3)
    OR (i.status = 'withdrawn' AND NOT i.is_closed AND i.settled_at < $3))
  UNION ALL
  SELECT 'refund', r.refund_id, r.status, r.created_at
  FROM {payments}.refunds r
  WHERE r.tenant_id = $1 AND ((r.status = 'requested' AND r.created_at < $2)
    OR (r.status = 'unknown' AND r.created_at < $3))
  UNION ALL
  SELECT l.kind, l.thing_id, 'given_up', NULL::timestamptz
  FROM {payments}.looks l
  WHERE l.tenant_id = $1 AND l.due_at = 'infinity'
) o
ORDER BY o.thing_id LIMIT $4;

-- name: tell_payments
-- Reads where the money of the orders of a range of ids is, and when any of it last came to rest.
SELECT i.order_id, i.status, i.captured_minor, i.refunding_minor, i.refunded_minor,
       greatest(i.settled_at, r.settled_at) AS moved_at
FROM {payments}.intents i
LEFT JOIN (
  SELECT order_id, max(settled_at) AS settled_at FROM {payments}.refunds
  WHERE tenant_id = $1 AND order_id > $2 AND order_id <= $3 GROUP BY order_id
) r ON r.order_id = i.order_id
WHERE i.tenant_id = $1 AND i.order_id > $2 AND i.order_id <= $3;

-- name: tell_of_orders
-- Tells what is known here about some orders, for whose they are.
SELECT t.order_id, t.status, t.amount_minor, t.currency, t.captured_minor, t.refunded_minor, t.reason,
       t.created_at, t.settled_at
FROM {payments}.intents t
JOIN unnest($2::uuid[]) AS w(order_id) ON t.order_id = w.order_id
WHERE t.tenant_id = $1
ORDER BY t.order_id;
