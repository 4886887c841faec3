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
  SELECT r.tenant_id, r.id, r.refund_minor, r.lines, r.status, r.created_at
  FROM {returns}.returns r WHERE r.tenant_id = $1 AND r.id > $2 ORDER BY r.id LIMIT $3
)
SELECT p.id, p.refund_minor, p.status, p.created_at,
       (SELECT sum((line ->> 'refund_minor')::bigint) FROM json_array_elements(p.lines) AS line)::bigint
         AS lines_minor
FROM page p ORDER BY p.id;
