-- Reservations are locked by tenant, order, SKU and location, and after them stock items by tenant, SKU
-- and location; tests/integration/test_lock_order.py asserts the plans. A batch that promises units locks
-- the items first: the reservations it adds are of orders that nobody else knows yet.

-- name: lock_levels
-- Locks the stock items of the given SKUs in SKU order and reads what is available.
SELECT s.tenant_id, s.sku, s.location, s.received, s.available, s.reserved, s.sold, s.written_off
FROM {inventory}.stock_items s
JOIN (SELECT DISTINCT w.tenant_id, w.sku FROM unnest($1::uuid[], $2::text[]) AS w(tenant_id, sku)) w
  ON s.tenant_id = w.tenant_id AND s.sku = w.sku
ORDER BY s.tenant_id, s.sku, s.location
FOR UPDATE OF s;

-- name: change_levels
-- Adds deltas to stock items that the transaction has locked.
UPDATE {inventory}.stock_items s
SET received = s.received + d.received, available = s.available + d.available,
    reserved = s.reserved + d.reserved, sold = s.sold + d.sold,
    written_off = s.written_off + d.written_off
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[],
            $8::bigint[])
  AS d(tenant_id, sku, location, received, available, reserved, sold, written_off)
WHERE s.tenant_id = d.tenant_id AND s.sku = d.sku AND s.location = d.location;

-- name: create_levels
-- Creates empty stock items where there are none, in SKU order.
INSERT INTO {inventory}.stock_items (tenant_id, sku, location)
SELECT DISTINCT n.tenant_id, n.sku, n.location
FROM unnest($1::uuid[], $2::text[], $3::text[]) AS n(tenant_id, sku, location)
ORDER BY n.tenant_id, n.sku, n.location
ON CONFLICT DO NOTHING;

-- name: insert_reservations
-- Writes down what is promised to orders.
INSERT INTO {inventory}.reservations (tenant_id, order_id, sku, location, quantity, state, expires_at, reserved_at)
SELECT r.tenant_id, r.order_id, r.sku, r.location, r.quantity, 'reserved', r.expires_at, $7
FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::bigint[], $6::timestamptz[])
  AS r(tenant_id, order_id, sku, location, quantity, expires_at);

-- name: sell_reservations
-- Turns what is promised to orders into sold units, in the stock items and in the ledger.
WITH taken AS (
  UPDATE {inventory}.reservations r SET state = 'sold', expires_at = NULL
  FROM (SELECT o.tenant_id, o.order_id FROM unnest($1::uuid[], $2::uuid[]) AS o(tenant_id, order_id)
        ORDER BY o.tenant_id, o.order_id) o
  WHERE r.tenant_id = o.tenant_id AND r.order_id = o.order_id AND r.state = 'reserved'
  RETURNING r.tenant_id, r.order_id, r.sku, r.location, r.quantity
), sums AS (
  SELECT tenant_id, sku, location, sum(quantity)::bigint AS quantity FROM taken GROUP BY 1, 2, 3
), locked AS MATERIALIZED (
  SELECT s.tenant_id, s.sku, s.location, sums.quantity
  FROM {inventory}.stock_items s
  JOIN sums ON s.tenant_id = sums.tenant_id AND s.sku = sums.sku AND s.location = sums.location
  ORDER BY s.tenant_id, s.sku, s.location FOR UPDATE OF s
), changed AS (
  UPDATE {inventory}.stock_items s
  SET reserved = s.reserved - l.quantity, sold = s.sold + l.quantity
  FROM locked l WHERE s.tenant_id = l.tenant_id AND s.sku = l.sku AND s.location = l.location
)
INSERT INTO {inventory}.movements (tenant_id, sku, location, kind, quantity, reference, moved_at)
SELECT tenant_id, sku, location, 'sale', quantity, order_id, $3 FROM taken;

-- name: release_reservations
-- Makes what is promised or sold to undone orders available again, in the stock items and in the ledger.
WITH held AS (
  SELECT r.tenant_id, r.order_id, r.sku, r.location, r.quantity - r.returned AS quantity, r.state
  FROM {inventory}.reservations r
  JOIN unnest($1::uuid[], $2::uuid[]) AS o(tenant_id, order_id)
    ON r.tenant_id = o.tenant_id AND r.order_id = o.order_id
  WHERE r.state IN ('reserved', 'sold')
  ORDER BY r.tenant_id, r.order_id, r.sku, r.location FOR UPDATE OF r
), freed AS (
  UPDATE {inventory}.reservations r SET state = 'released', expires_at = NULL
  FROM held h WHERE r.tenant_id = h.tenant_id AND r.order_id = h.order_id
    AND r.sku = h.sku AND r.location = h.location
), sums AS (
  SELECT tenant_id, sku, location, sum(quantity)::bigint AS quantity,
         COALESCE(sum(quantity) FILTER (WHERE state = 'sold'), 0)::bigint AS sold
  FROM held GROUP BY 1, 2, 3
), locked AS MATERIALIZED (
  SELECT s.tenant_id, s.sku, s.location, sums.quantity, sums.sold AS was_sold
  FROM {inventory}.stock_items s
  JOIN sums ON s.tenant_id = sums.tenant_id AND s.sku = sums.sku AND s.location = sums.location
  ORDER BY s.tenant_id, s.sku, s.location FOR UPDATE OF s
), changed AS (
  UPDATE {inventory}.stock_items s
  SET available = s.available + l.quantity, sold = s.sold - l.was_sold,
      reserved = s.reserved - (l.quantity - l.was_sold)
  FROM locked l WHERE s.tenant_id = l.tenant_id AND s.sku = l.sku AND s.location = l.location
), noted AS (
  INSERT INTO {inventory}.movements (tenant_id, sku, location, kind, quantity, reason, reference, moved_at)
  SELECT tenant_id, sku, location, 'return', quantity, 'undone', order_id, $3 FROM held
  WHERE state = 'sold' AND quantity > 0
)
SELECT DISTINCT tenant_id, order_id FROM held;

-- name: lock_limited
-- Locks those of the given reservations that are open and have a time limit.
SELECT r.tenant_id, r.order_id
FROM {inventory}.reservations r
JOIN (SELECT DISTINCT o.tenant_id, o.order_id FROM unnest($1::uuid[], $2::uuid[]) AS o(tenant_id, order_id)) o
  ON r.tenant_id = o.tenant_id AND r.order_id = o.order_id
WHERE r.state = 'reserved' AND r.expires_at IS NOT NULL
ORDER BY r.tenant_id, r.order_id, r.sku, r.location FOR UPDATE OF r;

-- name: insert_movements
-- Writes movements into the ledger.
INSERT INTO {inventory}.movements (tenant_id, sku, location, kind, quantity, reason, reference, moved_at)
SELECT m.tenant_id, m.sku, m.location, m.kind, m.quantity, m.reason, m.reference, $8
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::text[], $7::uuid[])
  WITH ORDINALITY AS m(tenant_id, sku, location, kind, quantity, reason, reference, n)
ORDER BY m.n;

-- name: list_sold
-- Reads where the sold units of orders came from, less those that went back there.
SELECT r.tenant_id, r.order_id, r.sku, r.location, r.quantity - r.returned AS quantity
FROM {inventory}.reservations r
JOIN (SELECT DISTINCT o.tenant_id, o.order_id FROM unnest($1::uuid[], $2::uuid[]) AS o(tenant_id, order_id)) o
  ON r.tenant_id = o.tenant_id AND r.order_id = o.order_id
WHERE r.state = 'sold' AND r.returned < r.quantity
ORDER BY r.tenant_id, r.order_id, r.sku, r.location;

-- name: return_units
-- Counts sold units that went back to where they came from; their stock items are locked.
UPDATE {inventory}.reservations r SET returned = r.returned + b.quantity
FROM (
  SELECT tenant_id, order_id, sku, location, sum(quantity)::bigint AS quantity
  FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::bigint[])
    AS u(tenant_id, order_id, sku, location, quantity)
  GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
) b
WHERE r.tenant_id = b.tenant_id AND r.order_id = b.order_id AND r.sku = b.sku AND r.location = b.location;

-- name: list_expired
-- Lists reservations with a time limit that has passed.
SELECT DISTINCT tenant_id, order_id FROM {inventory}.reservations
WHERE tenant_id = ANY ($1::uuid[]) AND state = 'reserved' AND expires_at <= $2 LIMIT $3;

-- name: find_reservation
-- Reads the lines of one open reservation.
SELECT sku, location, quantity, state, expires_at FROM {inventory}.reservations
WHERE tenant_id = $1 AND order_id = $2 ORDER BY sku, location;

-- name: list_locations
-- Lists a tenant's locations in the order in which stock is taken from them.
SELECT tenant_id, code, name, priority FROM {inventory}.locations
WHERE tenant_id = ANY ($1::uuid[]) ORDER BY tenant_id, priority, code;

-- name: insert_location
-- Adds a location, or renames it.
INSERT INTO {inventory}.locations (tenant_id, code, name, priority, created_at)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (tenant_id, code) DO UPDATE SET name = excluded.name, priority = excluded.priority;

-- name: list_stock
-- Lists stock items by SKU and location, a page at a time.
SELECT sku, location, received, available, reserved, sold, written_off
FROM {inventory}.stock_items
WHERE tenant_id = $1 AND (sku, location) > ($2::text, $3::text)
  AND ($4::text IS NULL OR sku = $4) AND ($5::text IS NULL OR location = $5)
ORDER BY sku, location LIMIT $6;

-- name: list_movements
-- Lists the ledger of one SKU, newest first, a page at a time.
SELECT id, sku, location, kind, quantity, reason, reference, moved_at
FROM {inventory}.movements
WHERE tenant_id = $1 AND sku = $2 AND ($3::bigint IS NULL OR id < $3)
ORDER BY id DESC LIMIT $4;

-- name: total_movements
-- Sums the ledger by SKU, kind and reason, a page of SKUs at a time; one that never moved has no kind.
SELECT s.sku, t.kind, t.reason, t.quantity
FROM (SELECT DISTINCT sku FROM {inventory}.stock_items WHERE tenant_id = $1 AND sku > $2
      ORDER BY sku LIMIT $3) s
LEFT JOIN LATERAL (
  SELECT m.kind, m.reason, sum(m.quantity)::bigint AS quantity
  FROM {inventory}.movements m WHERE m.tenant_id = $1 AND m.sku = s.sku
  GROUP BY m.kind, m.reason) t ON true
ORDER BY s.sku, t.kind, t.reason;

-- name: check_levels
-- Finds stock items that the reservations or the ledger disagree with.
SELECT s.sku, s.location, s.received, s.available, s.reserved, s.sold, s.written_off,
       COALESCE(r.reserved, 0) AS promised, COALESCE(m.sold, 0) AS moved_sold,
       COALESCE(m.received, 0) AS moved_received, COALESCE(m.written_off, 0) AS moved_written_off
FROM {inventory}.stock_items s
LEFT JOIN (
  SELECT sku, location, sum(quantity) AS reserved FROM {inventory}.reservations
  WHERE tenant_id = $1 AND state = 'reserved' GROUP BY sku, location
) r ON r.sku = s.sku AND r.location = s.location
LEFT JOIN (
  SELECT sku, location,
         sum(CASE kind WHEN 'sale' THEN quantity WHEN 'return' THEN -quantity ELSE 0 END) AS sold,
         sum(CASE kind WHEN 'receipt' THEN quantity WHEN 'transfer_in' THEN quantity
                       WHEN 'transfer_out' THEN -quantity ELSE 0 END) AS received,
         sum(CASE kind WHEN 'write_off' THEN quantity ELSE 0 END) AS written_off
  FROM {inventory}.movements WHERE tenant_id = $1 GROUP BY sku, location
) m ON m.sku = s.sku AND m.location = s.location
WHERE s.tenant_id = $1
  AND (s.reserved <> COALESCE(r.reserved, 0) OR s.sold <> COALESCE(m.sold, 0)
    OR s.received <> COALESCE(m.received, 0) OR s.written_off <> COALESCE(m.written_off, 0)
    OR s.received <> s.available + s.reserved + s.sold + s.written_off
    OR least(s.received, s.available, s.reserved, s.sold, s.written_off) < 0)
LIMIT $2;

-- name: tell_stock
-- Sums what is promised and was sold to the orders of a range of ids.
SELECT order_id, COALESCE(sum(quantity) FILTER (WHERE state = 'reserved'), 0)::bigint AS reserved,
       COALESCE(sum(quantity) FILTER (WHERE state = 'sold'), 0)::bigint AS sold
FROM {inventory}.reservations
WHERE tenant_id = $1 AND order_id > $2 AND order_id <= $3
GROUP BY order_id;
