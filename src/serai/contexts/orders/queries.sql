-- Orders are locked by tenant and id, and lines, whose order is locked or not, by tenant, order and
-- number after them. An UPDATE takes its rows as its join meets them, which is the order of the sorted
-- side: tests/integration/test_lock_order.py asserts the plans.

-- name: insert_orders
-- Writes new orders.
INSERT INTO {orders}.orders (tenant_id, id, status, currency, total_minor, reference, customer, email, goods, placed_at)
SELECT o.tenant_id, o.id, 'placed', o.currency, o.total_minor, o.reference, o.customer, o.email, o.goods, $9
FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::bigint[], $5::text[], $6::text[], $7::text[], $8::json[])
  AS o(tenant_id, id, currency, total_minor, reference, customer, email, goods);

-- name: insert_lines
-- Writes the lines of new orders.
INSERT INTO {orders}.lines (tenant_id, order_id, line_no, sku, quantity, unit_price, amount_minor)
SELECT l.tenant_id, l.order_id, l.line_no, l.sku, l.quantity, l.unit_price, l.amount_minor
FROM unnest($1::uuid[], $2::uuid[], $3::int[], $4::text[], $5::bigint[], $6::numeric[], $7::bigint[])
  AS l(tenant_id, order_id, line_no, sku, quantity, unit_price, amount_minor);

-- name: confirm_orders
-- Confirms orders that are placed and notes what was captured; a refund heard before has noted part of it.
UPDATE {orders}.orders o
SET status = 'confirmed', settled_at = $4, version = o.version + 1,
    captured_minor = greatest(o.captured_minor, c.captured_minor)
FROM (
  SELECT u.tenant_id, u.id, u.captured_minor
  FROM unnest($1::uuid[], $2::uuid[], $3::bigint[]) AS u(tenant_id, id, captured_minor)
  ORDER BY u.tenant_id, u.id
) c
WHERE o.tenant_id = c.tenant_id AND o.id = c.id AND o.status = 'placed'
RETURNING o.tenant_id, o.id, o.currency, o.total_minor, o.email, o.goods;

-- name: cancel_orders
-- Cancels orders that are not cancelled yet, for the reason given with each.
UPDATE {orders}.orders o
SET status = 'cancelled', reason = c.reason, settled_at = $4, version = o.version + 1
FROM (
  SELECT u.tenant_id, u.id, u.reason
  FROM unnest($1::uuid[], $2::uuid[], $3::text[]) AS u(tenant_id, id, reason)
  ORDER BY u.tenant_id, u.id
) c
WHERE o.tenant_id = c.tenant_id AND o.id = c.id AND o.status <> 'cancelled'
RETURNING o.tenant_id, o.id, o.reason, o.currency, o.total_minor, o.email;

-- name: keep_orders
-- Takes back the wish to cancel orders.
UPDATE {orders}.orders o SET is_cancelling = false, version = o.version + 1
FROM (SELECT u.tenant_id, u.id FROM unnest($1::uuid[], $2::uuid[]) AS u(tenant_id, id)
      ORDER BY u.tenant_id, u.id) c
WHERE o.tenant_id = c.tenant_id AND o.id = c.id AND o.status = 'confirmed';

-- name: mark_unpaid
-- Marks confirmed orders whose money will not come; those that are marked already do not come back.
UPDATE {orders}.orders o SET is_unpaid = true, version = o.version + 1
FROM (SELECT u.tenant_id, u.id FROM unnest($1::uuid[], $2::uuid[]) AS u(tenant_id, id)
      ORDER BY u.tenant_id, u.id) c
WHERE o.tenant_id = c.tenant_id AND o.id = c.id AND o.status = 'confirmed' AND NOT o.is_unpaid
RETURNING o.id, o.currency, o.total_minor;

-- name: lock_orders
-- Locks orders in id order and reads them.
SELECT o.tenant_id, o.id, o.status, o.reason, o.is_cancelling, o.currency, o.total_minor, o.captured_minor,
       o.refunded_minor, o.reference, o.customer, o.email, o.placed_at, o.settled_at, o.version,
       o.is_unpaid
FROM {orders}.orders o
JOIN (SELECT DISTINCT w.tenant_id, w.id FROM unnest($1::uuid[], $2::uuid[]) AS w(tenant_id, id)) w
  ON o.tenant_id = w.tenant_id AND o.id = w.id
ORDER BY o.tenant_id, o.id FOR UPDATE OF o;

-- name: list_lines
-- Reads the lines of orders.
SELECT l.tenant_id, l.order_id, l.line_no, l.sku, l.quantity, l.unit_price, l.amount_minor, l.shipped, l.returned,
       l.refund_minor
FROM {orders}.lines l
JOIN (SELECT DISTINCT w.tenant_id, w.id FROM unnest($1::uuid[], $2::uuid[]) AS w(tenant_id, id)) w
  ON l.tenant_id = w.tenant_id AND l.order_id = w.id
ORDER BY l.tenant_id, l.order_id, l.line_no;

-- name: request_cancellations
-- Notes that orders which the transaction has locked are to be cancelled.
UPDATE {orders}.orders o SET is_cancelling = true, version = o.version + 1
FROM unnest($1::uuid[], $2::uuid[]) AS c(tenant_id, id)
WHERE o.tenant_id = c.tenant_id AND o.id = c.id;

-- name: return_lines
-- Adds returned units, and what is promised back for them, to lines.
UPDATE {orders}.lines l SET returned = l.returned + r.quantity, refund_minor = l.refund_minor + r.refund_minor
FROM (
  SELECT u.tenant_id, u.order_id, u.line_no, u.quantity, u.refund_minor
  FROM unnest($1::uuid[], $2::uuid[], $3::int[], $4::bigint[], $5::bigint[])
    AS u(tenant_id, order_id, line_no, quantity, refund_minor)
  ORDER BY u.tenant_id, u.order_id, u.line_no
) r
WHERE l.tenant_id = r.tenant_id AND l.order_id = r.order_id AND l.line_no = r.line_no;

-- name: ship_lines
-- Adds shipped units to lines.
UPDATE {orders}.lines l SET shipped = l.shipped + r.quantity
FROM (
  SELECT tenant_id, order_id, line_no, sum(quantity)::bigint AS quantity
  FROM unnest($1::uuid[], $2::uuid[], $3::int[], $4::bigint[]) AS s(tenant_id, order_id, line_no, quantity)
  GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
) r
WHERE l.tenant_id = r.tenant_id AND l.order_id = r.order_id AND l.line_no = r.line_no;

-- name: record_captures
-- Notes the one capture of orders; a refund that was heard before it has noted part of it already.
UPDATE {orders}.orders o SET captured_minor = greatest(o.captured_minor, c.amount_minor), version = o.version + 1
FROM (
  SELECT tenant_id, id, max(amount_minor) AS amount_minor
  FROM unnest($1::uuid[], $2::uuid[], $3::bigint[]) AS u(tenant_id, id, amount_minor)
  GROUP BY 1, 2 ORDER BY 1, 2
) c
WHERE o.tenant_id = c.tenant_id AND o.id = c.id;

-- name: record_refunds
-- Adds refunded money to orders; a capture that came after the end of its order is noted with it.
UPDATE {orders}.orders o
SET captured_minor = greatest(o.captured_minor, o.refunded_minor + c.amount_minor),
    refunded_minor = o.refunded_minor + c.amount_minor, version = o.version + 1
FROM (
  SELECT tenant_id, id, sum(amount_minor)::bigint AS amount_minor
  FROM unnest($1::uuid[], $2::uuid[], $3::bigint[]) AS u(tenant_id, id, amount_minor)
  GROUP BY 1, 2 ORDER BY 1, 2
) c
WHERE o.tenant_id = c.tenant_id AND o.id = c.id;

-- name: find_order
-- Reads one order.
SELECT id, status, reason, currency, total_minor, captured_minor, refunded_minor, reference, customer, email,
       placed_at, settled_at, version, is_unpaid
FROM {orders}.orders WHERE tenant_id = $1 AND id = $2;

-- name: find_statuses
-- Reads the status and the version of orders.
SELECT o.tenant_id, o.id, o.status, o.version
FROM {orders}.orders o JOIN unnest($1::uuid[], $2::uuid[]) AS w(tenant_id, id)
  ON o.tenant_id = w.tenant_id AND o.id = w.id;

-- name: list_settled
-- Lists which of the given orders have reached an end.
SELECT o.id, o.status, o.reason, o.currency, o.total_minor, o.captured_minor, o.refunded_minor, o.reference,
       o.customer, o.email, o.placed_at, o.settled_at, o.version,
       o.is_unpaid
FROM {orders}.orders o JOIN unnest($1::uuid[], $2::uuid[]) AS w(tenant_id, id)
  ON o.tenant_id = w.tenant_id AND o.id = w.id
WHERE o.status <> 'placed';

-- name: list_orders
-- Lists orders, newest first, a page at a time.
SELECT id, status, reason, currency, total_minor, captured_minor, refunded_minor, reference, customer, email,
       placed_at, settled_at, version, is_unpaid
FROM {orders}.orders
WHERE tenant_id = $1 AND ($2::uuid IS NULL OR id < $2) AND ($3::text IS NULL OR status = $3)
ORDER BY id DESC LIMIT $4;

-- name: list_orders_by_reference
-- Lists the orders that carry a reference of the client's, newest first.
SELECT id, status, reason, currency, total_minor, captured_minor, refunded_minor, reference, customer, email,
       placed_at, settled_at, version, is_unpaid
FROM {orders}.orders
WHERE tenant_id = $1 AND reference = $3 AND ($2::uuid IS NULL OR id < $2)
ORDER BY id DESC LIMIT $4;

-- name: list_orders_by_customer
-- Lists the orders of a customer, newest first.
SELECT id, status, reason, currency, total_minor, captured_minor, refunded_minor, reference, customer, email,
       placed_at, settled_at, version, is_unpaid
FROM {orders}.orders
WHERE tenant_id = $1 AND customer = $3 AND ($2::uuid IS NULL OR id < $2)
ORDER BY id DESC LIMIT $4;

-- name: list_own_orders
-- Lists a customer's own orders, newest first, all or by status, reference and being unpaid.
SELECT id, status, reason, currency, total_minor, captured_minor, refunded_minor, reference, customer, email,
       placed_at, settled_at, version, is_unpaid
FROM {orders}.orders
WHERE tenant_id = $1 AND customer = $3 AND ($2::uuid IS NULL OR id < $2) AND ($4::text IS NULL OR status = $4)
  AND ($5::text IS NULL OR reference = $5) AND (NOT $6::boolean OR is_unpaid)
ORDER BY id DESC LIMIT $7;

-- name: list_owned
-- Lists which of the given orders are a customer's.
SELECT o.id
FROM {orders}.orders o JOIN unnest($3::uuid[]) AS w(id) ON o.id = w.id
WHERE o.tenant_id = $1 AND o.customer = $2;

-- name: list_unpaid_orders
-- Lists orders that are marked as unpaid, newest first, a page at a time.
SELECT id, status, reason, currency, total_minor, captured_minor, refunded_minor, reference, customer, email,
       placed_at, settled_at, version, is_unpaid
FROM {orders}.orders
WHERE tenant_id = $1 AND is_unpaid AND ($2::uuid IS NULL OR id < $2)
ORDER BY id DESC LIMIT $3;

-- name: list_trusting
-- Lists which of the given orders are confirmed and not marked as unpaid.
SELECT o.id
FROM {orders}.orders o JOIN unnest($2::uuid[]) AS w(id) ON o.id = w.id
WHERE o.tenant_id = $1 AND o.status = 'confirmed' AND NOT o.is_unpaid;

-- name: sum_orders
-- Sums a tenant's orders by status: how many, lines, units, money, customers and guests.
SELECT o.status, count(*) AS orders, COALESCE(sum(l.lines), 0)::bigint AS lines,
       COALESCE(sum(l.units), 0)::bigint AS units, COALESCE(sum(o.total_minor), 0)::bigint AS total_minor,
       COALESCE(sum(o.captured_minor), 0)::bigint AS captured_minor,
       COALESCE(sum(o.refunded_minor), 0)::bigint AS refunded_minor,
       COALESCE(sum(l.shipped), 0)::bigint AS shipped, COALESCE(sum(l.returned), 0)::bigint AS returned,
       count(DISTINCT o.customer) AS customers, count(*) FILTER (WHERE o.customer IS NULL) AS guests
FROM {orders}.orders o
LEFT JOIN (
  SELECT order_id, count(*) AS lines, sum(quantity) AS units, sum(shipped) AS shipped, sum(returned) AS returned
  FROM {orders}.lines WHERE tenant_id = $1 GROUP BY order_id
) l ON l.order_id = o.id
WHERE o.tenant_id = $1 GROUP BY o.status ORDER BY o.status;

-- name: check_orders
-- Finds orders whose lines, money or time do not add up.
SELECT o.id, o.status, o.is_unpaid, o.total_minor, o.captured_minor, o.refunded_minor, o.placed_at,
       COALESCE(l.amount_minor, 0) AS lines_minor, COALESCE(l.lines, 0) AS lines
FROM {orders}.orders o
LEFT JOIN (
  SELECT order_id, sum(amount_minor) AS amount_minor, count(*) AS lines
  FROM {orders}.lines WHERE tenant_id = $1 GROUP BY order_id
) l ON l.order_id = o.id
WHERE o.tenant_id = $1 AND (
  o.total_minor <> COALESCE(l.amount_minor, 0) OR COALESCE(l.lines, 0) = 0
  OR (o.status = 'placed' AND o.placed_at < $2)
  OR (o.is_unpaid AND o.status <> 'confirmed')
  OR (o.status = 'cancelled' AND o.captured_minor <> o.refunded_minor AND o.settled_at < $2))
LIMIT $3;

-- name: tell_orders
-- Reads what orders say of themselves, above an id and by id, a page at a time.
SELECT o.id AS order_id, o.status, o.is_unpaid, o.total_minor, o.captured_minor, o.refunded_minor,
       o.email IS NOT NULL AS has_email, o.settled_at, COALESCE(l.units, 0)::bigint AS units,
       COALESCE(l.shipped, 0)::bigint AS shipped
FROM (SELECT * FROM {orders}.orders WHERE tenant_id = $1 AND id > $2 ORDER BY id LIMIT $3) o
LEFT JOIN LATERAL (
  SELECT sum(l.quantity) AS units, sum(l.shipped) AS shipped
  FROM {orders}.lines l WHERE l.tenant_id = $1 AND l.order_id = o.id) l ON true
ORDER BY o.id;

-- name: find_end_of_orders
-- Tells where a chunk of a tenant's orders ends, from a place on.
SELECT c.id FROM (
  SELECT o.id FROM {orders}.orders o WHERE o.tenant_id = $1 AND o.id > $2 ORDER BY o.id LIMIT $3
) c ORDER BY c.id DESC LIMIT 1;

-- name: list_orders_of_person
-- Lists those of a chunk of a tenant's orders that are a person's.
SELECT o.id, o.status, o.reason, o.currency, o.total_minor, o.captured_minor, o.refunded_minor, o.reference,
       o.email, o.goods, o.placed_at, o.settled_at
FROM {orders}.orders o
WHERE o.tenant_id = $1 AND o.id > $2 AND o.id <= $3 AND (o.customer = $4 OR starts_with(o.email, $5))
ORDER BY o.id;

-- name: clear_orders_of_person
-- Takes out of those of a chunk of a tenant's orders that are a person's whose they are, and which words
-- she put on those that she placed by her account.
WITH wanted AS (
  SELECT o.tenant_id, o.id FROM {orders}.orders o
  WHERE o.tenant_id = $1 AND o.id > $2 AND o.id <= $3 AND (o.customer = $4 OR starts_with(o.email, $5))
  ORDER BY o.tenant_id, o.id FOR UPDATE
)
UPDATE {orders}.orders o
SET email = NULL, customer = NULL, version = o.version + 1,
    reference = CASE WHEN o.customer = $4 THEN NULL ELSE o.reference END
FROM wanted w WHERE o.tenant_id = w.tenant_id AND o.id = w.id
RETURNING o.id;

-- name: find_end_of_old_orders
-- Tells where a chunk of a tenant's orders below an id ends, from a place on.
SELECT c.id FROM (
  SELECT o.id FROM {orders}.orders o
  WHERE o.tenant_id = $1 AND o.id > $2 AND o.id < $3 ORDER BY o.id LIMIT $4
) c ORDER BY c.id DESC LIMIT 1;

-- name: clear_old_orders
-- Takes the addresses out of a chunk of a tenant's orders.
WITH wanted AS (
  SELECT o.tenant_id, o.id FROM {orders}.orders o
  WHERE o.tenant_id = $1 AND o.id > $2 AND o.id <= $3 AND o.email IS NOT NULL
  ORDER BY o.tenant_id, o.id FOR UPDATE
)
UPDATE {orders}.orders o SET email = NULL, version = o.version + 1
FROM wanted w WHERE o.tenant_id = w.tenant_id AND o.id = w.id;

-- name: lock_clear_orders
-- Locks and reads a chunk of tenants' orders whose addresses are in clear.
SELECT o.tenant_id, o.id, o.email FROM {orders}.orders o
WHERE o.tenant_id = ANY ($1::uuid[]) AND o.email LIKE '%@%' ORDER BY o.tenant_id, o.id LIMIT $2 FOR UPDATE;

-- name: seal_orders
-- Writes the addresses of locked orders as they may rest.
UPDATE {orders}.orders o SET email = n.email
FROM unnest($1::uuid[], $2::uuid[], $3::text[]) AS n(tenant_id, id, email)
WHERE o.tenant_id = n.tenant_id AND o.id = n.id;
