-- Returns are locked by tenant and id; tests/integration/test_lock_order.py asserts the plans.

-- name: insert_returns
-- Adds returns.
INSERT INTO {returns}.returns (tenant_id, id, order_id, status, reason, currency, refund_minor,
                               is_restocked, lines, created_at)
SELECT n.tenant_id, n.id, n.order_id, n.status, n.reason, n.currency, n.refund_minor,
       n.is_restocked, n.lines, n.created_at
FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::bigint[],
            $8::boolean[], $9::json[], $10::timestamptz[])
  AS n(tenant_id, id, order_id, status, reason, currency, refund_minor, is_restocked, lines,
       created_at)
ORDER BY n.tenant_id, n.id;

-- name: move_returns
-- Moves returns that stand in one of the given statuses to another; locks them by tenant and id.
WITH wanted AS (
  SELECT r.tenant_id, r.id FROM {returns}.returns r
  JOIN unnest($1::uuid[], $2::uuid[]) AS w(tenant_id, id) ON r.tenant_id = w.tenant_id AND r.id = w.id
  WHERE r.status = ANY ($4::text[])
  ORDER BY r.tenant_id, r.id FOR UPDATE OF r
)
UPDATE {returns}.returns r
SET status = $3, settled_at = CASE WHEN $3 = 'refunded' THEN $5::timestamptz END
FROM wanted WHERE r.tenant_id = wanted.tenant_id AND r.id = wanted.id;

-- name: lock_returns
-- Locks returns by tenant and id, and reads them.
SELECT r.tenant_id, r.id, r.order_id, r.status, r.reason, r.currency, r.refund_minor, r.is_restocked,
       r.lines, r.created_at, r.settled_at
FROM {returns}.returns r
JOIN (SELECT DISTINCT w.tenant_id, w.id FROM unnest($1::uuid[], $2::uuid[]) AS w(tenant_id, id)) w
  ON r.tenant_id = w.tenant_id AND r.id = w.id
ORDER BY r.tenant_id, r.id FOR UPDATE OF r;

-- name: grant_returns
-- Accepts requests that the transaction has locked, at what their orders say now.
UPDATE {returns}.returns r
SET status = 'accepted', refund_minor = g.refund_minor, is_restocked = g.is_restocked, lines = g.lines,
    accepted_at = g.accepted_at
FROM unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::boolean[], $5::json[], $6::timestamptz[])
  AS g(tenant_id, id, refund_minor, is_restocked, lines, accepted_at)
WHERE r.tenant_id = g.tenant_id AND r.id = g.id;

-- name: find_asked
-- Tells which orders have a return in a status; given as an argument, it goes by the order's index.
SELECT DISTINCT r.tenant_id, r.order_id
FROM {returns}.returns r
JOIN unnest($1::uuid[], $2::uuid[]) AS w(tenant_id, order_id)
  ON r.tenant_id = w.tenant_id AND r.order_id = w.order_id
WHERE r.status = $3 AND r.refund_minor >= 0;

-- name: list_requests
-- Lists returns that wait for somebody to look, newest first, a page at a time.
SELECT r.tenant_id, r.id, r.order_id, r.status, r.reason, r.currency, r.refund_minor, r.is_restocked,
       r.lines, r.created_at, r.settled_at
FROM {returns}.returns r
WHERE r.tenant_id = $1 AND r.id < $2 AND r.status = 'requested'
ORDER BY r.id DESC LIMIT $3;

-- name: find_return
-- Reads one return.
SELECT r.tenant_id, r.id, r.order_id, r.status, r.reason, r.currency, r.refund_minor, r.is_restocked,
       r.lines, r.created_at, r.settled_at
FROM {returns}.returns r WHERE r.tenant_id = $1 AND r.id = $2;

-- name: list_returns
-- Lists a tenant's returns, newest first, a page at a time.
SELECT r.tenant_id, r.id, r.order_id, r.status, r.reason, r.currency, r.refund_minor, r.is_restocked,
       r.lines, r.created_at, r.settled_at
FROM {returns}.returns r
WHERE r.tenant_id = $1 AND r.id < $2
ORDER BY r.id DESC LIMIT $3;

-- name: list_returns_of_order
-- Lists the returns of one order, newest first, a page at a time.
SELECT r.tenant_id, r.id, r.order_id, r.status, r.reason, r.currency, r.refund_minor, r.is_restocked,
       r.lines, r.created_at, r.settled_at
FROM {returns}.returns r
WHERE r.tenant_id = $1 AND r.order_id = $4 AND r.id < $2 AND r.refund_minor >= 0
ORDER BY r.id DESC LIMIT $3;

-- name: check_returns
-- Reads, of the next so many returns, the refund and the sum of its lines, and whether it waits.
WITH page AS (
  SELECT r.tenant_id, r.id, r.refund_minor, r.lines, r.status,
         COALESCE(r.accepted_at, r.created_at) AS created_at
  FROM {returns}.returns r WHERE r.tenant_id = $1 AND r.id > $2 ORDER BY r.id LIMIT $3
)
SELECT p.id, p.refund_minor, p.status, p.created_at,
       (SELECT sum((line ->> 'refund_minor')::bigint) FROM json_array_elements(p.lines) AS line)::bigint
         AS lines_minor
FROM page p ORDER BY p.id;

-- name: tell_of_orders
-- Tells what is known here about some orders, for whose they are.
SELECT t.id, t.order_id, t.status, t.reason, t.currency, t.refund_minor, t.created_at, t.settled_at
FROM {returns}.returns t
JOIN unnest($2::uuid[]) AS w(order_id) ON t.order_id = w.order_id
WHERE t.tenant_id = $1 AND t.refund_minor >= 0
ORDER BY t.order_id, t.id;

-- name: clear_reasons_of_orders
-- Takes out what was said about the returns of some orders, which may be words of whose they were.
WITH wanted AS (
  SELECT t.tenant_id, t.id FROM {returns}.returns t
  WHERE t.tenant_id = $1 AND t.order_id = ANY ($2::uuid[]) AND t.refund_minor >= 0 AND t.reason <> ''
  ORDER BY t.tenant_id, t.id FOR UPDATE
)
UPDATE {returns}.returns r SET reason = ''
FROM wanted w WHERE r.tenant_id = w.tenant_id AND r.id = w.id;
