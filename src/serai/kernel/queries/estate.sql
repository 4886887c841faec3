-- name: list_tenant_tables
-- Lists the tables of the given schemas that hold rows of tenants, those that others refer to first, and
-- whether we may delete there.
WITH RECURSIVE held AS (
  SELECT c.oid, n.nspname || '.' || c.relname AS name, array_position($1::text[], n.nspname::text) AS place
  FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped
  WHERE c.relkind IN ('r', 'p') AND n.nspname = ANY ($1::text[])
), below AS (
  SELECT h.oid, 0 AS depth FROM held h
  UNION ALL
  SELECT f.conrelid, b.depth + 1 FROM below b
  JOIN pg_constraint f ON f.confrelid = b.oid AND f.contype = 'f' AND f.conrelid <> f.confrelid
)
SELECT h.name, has_table_privilege(h.oid, 'DELETE') AS is_erasable
FROM held h JOIN below b ON b.oid = h.oid
GROUP BY h.oid, h.name, h.place ORDER BY max(b.depth), h.place, h.name;

-- name: list_rows_after
-- Lists a tenant's rows of one table as JSON, in the order of its key, from after the given row on.
SELECT r.line FROM {kernel}.rows_after($1::text::regclass, $2, $3::text::jsonb, $4) AS r(line);

-- name: erase_rows
-- Deletes a chunk of a tenant's rows of one table and counts it in the same transaction.
WITH gone AS MATERIALIZED (SELECT {kernel}.erase_rows($1::text::regclass, $2, $3) AS erased)
INSERT INTO {kernel}.erasures (tenant_id, table_name, erased)
SELECT $2, $4, erased FROM gone
ON CONFLICT (tenant_id, table_name) DO UPDATE SET erased = {kernel}.erasures.erased + excluded.erased
RETURNING (SELECT erased FROM gone);

-- name: list_erasures
-- Lists what was erased of a tenant here, by table.
SELECT table_name, erased FROM {kernel}.erasures WHERE tenant_id = $1 ORDER BY table_name;
