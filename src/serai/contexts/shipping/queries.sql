-- Orders are locked by their shipments: by tenant, order and number. An order is held by its first one.
-- tests/integration/test_lock_order.py asserts the plans.

-- name: insert_shipments
-- Adds shipments; one whose id, or whose number in its order, is there already does not come back.
INSERT INTO {shipping}.shipments (tenant_id, id, order_id, number, status, lines, created_at)
SELECT n.tenant_id, n.id, n.order_id, n.number, n.status, n.lines, n.created_at
FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::int[], $5::text[], $6::json[], $7::timestamptz[])
  AS n(tenant_id, id, order_id, number, status, lines, created_at)
ORDER BY n.tenant_id, n.order_id, n.number
ON CONFLICT DO NOTHING
RETURNING id;

-- name: lock_orders
-- Locks orders by their shipments, the first one first.
SELECT s.order_id
FROM {shipping}.shipments s
JOIN unnest($1::uuid[], $2::uuid[]) AS w(tenant_id, order_id)
  ON s.tenant_id = w.tenant_id AND s.order_id = w.order_id
WHERE s.number > 0
ORDER BY s.tenant_id, s.order_id, s.number
FOR UPDATE OF s;

-- name: lock_orders_of_shipments
-- Locks the orders of shipments by all their shipments, the first one first, and tells which they are.
SELECT s.tenant_id, s.order_id
FROM {shipping}.shipments s
JOIN (
  SELECT DISTINCT n.tenant_id, n.order_id
  FROM {shipping}.shipments n
  JOIN unnest($1::uuid[], $2::uuid[]) AS w(tenant_id, id) ON n.tenant_id = w.tenant_id AND n.id = w.id
) AS o ON s.tenant_id = o.tenant_id AND s.order_id = o.order_id
WHERE s.number > 0
ORDER BY s.tenant_id, s.order_id, s.number
FOR UPDATE OF s;

-- name: find_shipments_of_orders
-- Reads all shipments of orders, by order and number.
SELECT s.tenant_id, s.id, s.order_id, s.number, s.status, s.lines, s.created_at, s.carrier,
       s.tracking_number, s.dispatched_at, s.delivered_at, s.version, s.tracking_count
FROM {shipping}.shipments s
JOIN unnest($1::uuid[], $2::uuid[]) AS w(tenant_id, order_id)
  ON s.tenant_id = w.tenant_id AND s.order_id = w.order_id
WHERE s.number > 0
ORDER BY s.tenant_id, s.order_id, s.number;

-- name: update_shipments
-- Writes down locked shipments as they are now.
UPDATE {shipping}.shipments s
SET status = n.status, lines = n.lines, carrier = n.carrier, tracking_number = n.tracking_number,
    dispatched_at = n.dispatched_at, delivered_at = n.delivered_at, version = n.version,
    tracking_count = n.tracking_count
FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::json[], $5::text[], $6::text[],
            $7::timestamptz[], $8::timestamptz[], $9::int[], $10::int[])
  AS n(tenant_id, id, status, lines, carrier, tracking_number, dispatched_at, delivered_at, version,
       tracking_count)
WHERE s.tenant_id = n.tenant_id AND s.id = n.id;

-- name: insert_tracking_events
-- Adds what happened to parcels.
INSERT INTO {shipping}.tracking_events (tenant_id, shipment_id, id, status, detail, occurred_at)
SELECT n.tenant_id, n.shipment_id, n.id, n.status, n.detail, n.occurred_at
FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::timestamptz[])
  AS n(tenant_id, shipment_id, id, status, detail, occurred_at)
ORDER BY n.tenant_id, n.shipment_id, n.id;

-- name: find_shipment
-- Reads one shipment.
SELECT s.tenant_id, s.id, s.order_id, s.number, s.status, s.lines, s.created_at, s.carrier,
       s.tracking_number, s.dispatched_at, s.delivered_at, s.version, s.tracking_count
FROM {shipping}.shipments s WHERE s.tenant_id = $1 AND s.id = $2;

-- name: list_tracking_events
-- Lists what happened to a parcel, oldest first.
SELECT e.tenant_id, e.shipment_id, e.id, e.status, e.detail, e.occurred_at
FROM {shipping}.tracking_events e
WHERE e.tenant_id = $1 AND e.shipment_id = $2
ORDER BY e.occurred_at, e.id LIMIT $3;

-- name: list_shipments
-- Lists a tenant's shipments, newest first, a page at a time.
SELECT s.tenant_id, s.id, s.order_id, s.number, s.status, s.lines, s.created_at, s.carrier,
       s.tracking_number, s.dispatched_at, s.delivered_at, s.version, s.tracking_count
FROM {shipping}.shipments s
WHERE s.tenant_id = $1 AND s.id < $2
ORDER BY s.id DESC LIMIT $3;

-- name: list_shipments_in_status
-- Lists a tenant's shipments in one status, newest first, a page at a time.
SELECT s.tenant_id, s.id, s.order_id, s.number, s.status, s.lines, s.created_at, s.carrier,
       s.tracking_number, s.dispatched_at, s.delivered_at, s.version, s.tracking_count
FROM {shipping}.shipments s
WHERE s.tenant_id = $1 AND s.id < $2 AND s.status = $4 AND s.status <> ''
ORDER BY s.id DESC LIMIT $3;

-- name: list_shipments_of_order
-- Lists the shipments of one order, in any status or in one, newest first, a page at a time.
SELECT s.tenant_id, s.id, s.order_id, s.number, s.status, s.lines, s.created_at, s.carrier,
       s.tracking_number, s.dispatched_at, s.delivered_at, s.version, s.tracking_count
FROM (
  SELECT * FROM {shipping}.shipments o
  WHERE o.tenant_id = $1 AND o.order_id = $5 AND o.number > 0
  OFFSET 0
) AS s
WHERE s.id < $2 AND ($4::text IS NULL OR s.status = $4)
ORDER BY s.id DESC LIMIT $3;

-- name: check_cancelled
-- Finds orders of which one shipment is cancelled and another is not.
SELECT c.order_id, o.id AS shipment_id, o.status
FROM {shipping}.shipments c
JOIN {shipping}.shipments o
  ON o.tenant_id = c.tenant_id AND o.order_id = c.order_id AND o.number > 0
WHERE c.tenant_id = $1 AND c.status = 'cancelled' AND o.status <> 'cancelled'
LIMIT $2;

-- name: check_waiting
-- Finds orders for which more than one shipment waits.
SELECT s.order_id, count(*) AS waiting
FROM {shipping}.shipments s
WHERE s.tenant_id = $1 AND s.status = 'pending'
GROUP BY s.order_id HAVING count(*) > 1
LIMIT $2;

-- name: check_delivered
-- Finds delivered shipments of which no tracking event says so.
SELECT s.order_id, s.id AS shipment_id
FROM {shipping}.shipments s
WHERE s.tenant_id = $1 AND s.status = 'delivered' AND NOT EXISTS (
  SELECT 1 FROM {shipping}.tracking_events e
  WHERE e.tenant_id = s.tenant_id AND e.shipment_id = s.id AND e.status = 'delivered')
LIMIT $2;

-- name: tell_shipments
-- Sums the units of the orders of a range of ids that wait and that have left.
SELECT s.order_id,
       COALESCE(sum(l.quantity) FILTER (WHERE s.status = 'pending'), 0)::bigint AS waiting,
       COALESCE(sum(l.quantity) FILTER (WHERE s.status IN ('dispatched', 'delivered')), 0)::bigint AS sent,
       max(greatest(s.created_at, s.dispatched_at)) AS moved_at
FROM {shipping}.shipments s
LEFT JOIN LATERAL json_to_recordset(s.lines) AS l(quantity bigint) ON true
WHERE s.tenant_id = $1 AND s.order_id > $2 AND s.order_id <= $3 AND s.number > 0
GROUP BY s.order_id;

-- name: tell_of_orders
-- Tells what is known here about some orders, for whose they are.
SELECT t.id, t.order_id, t.status, t.created_at, t.carrier, t.tracking_number, t.dispatched_at, t.delivered_at
FROM {shipping}.shipments t
JOIN unnest($2::uuid[]) AS w(order_id) ON t.order_id = w.order_id
WHERE t.tenant_id = $1 AND t.number > 0
ORDER BY t.order_id, t.id;
