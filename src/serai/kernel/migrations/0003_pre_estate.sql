-- Everything that a tenant has in a home, table by table, for its export and its erasure. Both
-- functions run with the rights of who calls them: the wall stands before them as before any other.

-- The rows of a tenant in a table as JSON, in the order of its key, from the first after a row on.
CREATE OR REPLACE FUNCTION {kernel}.rows_after(wanted regclass, whose uuid, after jsonb, most integer)
RETURNS SETOF text LANGUAGE plpgsql STABLE AS $$
DECLARE
  keys text;
  given text;
BEGIN
  SELECT string_agg(format('t.%I', a.attname), ', ' ORDER BY k.n),
         string_agg(format('($2 ->> %L)::%s', a.attname, format_type(a.atttypid, NULL)), ', ' ORDER BY k.n)
  INTO keys, given
  FROM pg_index i
  CROSS JOIN LATERAL unnest(i.indkey::smallint[]) WITH ORDINALITY AS k(attnum, n)
  JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
  WHERE i.indrelid = wanted AND i.indisprimary;
  RETURN QUERY EXECUTE format(
    'SELECT row_to_json(t)::text FROM %s t WHERE t.tenant_id = $1 %s ORDER BY %s LIMIT $3',
    wanted, CASE WHEN after IS NULL THEN '' ELSE format('AND (%s) > (%s)', keys, given) END, keys)
  USING whose, after, most;
END $$;

-- Deletes up to so many rows of a tenant in a table; how many there were.
CREATE OR REPLACE FUNCTION {kernel}.erase_rows(wanted regclass, whose uuid, most integer)
RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  gone bigint;
BEGIN
  EXECUTE format(
    'DELETE FROM %s WHERE tenant_id = $1 AND ctid = ANY (ARRAY('
    'SELECT t.ctid FROM %s t WHERE t.tenant_id = $1 LIMIT $2))', wanted, wanted)
  USING whose, most;
  GET DIAGNOSTICS gone = ROW_COUNT;
  RETURN gone;
END $$;

-- What was erased of a tenant, counted in the transaction that erased it; the one thing that stays.
CREATE TABLE IF NOT EXISTS {kernel}.erasures (
  tenant_id uuid NOT NULL,
  table_name text NOT NULL,
  erased bigint NOT NULL,
  PRIMARY KEY (tenant_id, table_name)
);
SELECT {kernel}.wall('{kernel}.erasures');
