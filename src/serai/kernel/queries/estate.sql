-- name: list_tenant_tables
-- Lists the tables of the given schemas that hold rows of tenants, and whether we may delete there.
SELECT n.nspname || '.' || c.relname AS name, has_table_privilege(c.oid, 'DELETE') AS is_erasable
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped
WHERE c.relkind IN ('r', 'p') AND n.nspname = ANY ($1::text[])
ORDER BY array_position($1::text[], n.nspname::text), c.relname;

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
