-- A move keeps up with a shop that sells (ADR 0024): changes are noted by the statement, not by the row,
-- and rows are found by index.

-- The columns of a table's key, each as pattern says it; %1$I is the name, %2$s the type.
CREATE OR REPLACE FUNCTION {kernel}.key_list(wanted regclass, pattern text, joint text) RETURNS text
LANGUAGE sql STABLE AS $$
  SELECT string_agg(format(pattern, a.attname, format_type(a.atttypid, a.atttypmod)), joint ORDER BY n.n)
  FROM unnest({kernel}.key_columns(wanted)) WITH ORDINALITY AS n(name, n)
  JOIN pg_attribute a ON a.attrelid = wanted AND a.attname::text = n.name
$$;

-- The given keys, a JSON array of objects, as rows of typed columns. A wall lets no expression of the
-- query look for rows by index unless it leaks nothing: the comparison of two columns does not, a cast does.
CREATE OR REPLACE FUNCTION {kernel}.key_rows(wanted regclass) RETURNS text LANGUAGE sql STABLE AS $$
  SELECT format('jsonb_to_recordset($2) AS k(%s)', {kernel}.key_list(wanted, '%1$I %2$s', ', '))
$$;
CREATE OR REPLACE FUNCTION {kernel}.key_match(wanted regclass) RETURNS text LANGUAGE sql STABLE AS $$
  SELECT {kernel}.key_list(wanted, 't.%1$I = k.%1$I', ' AND ')
$$;

-- Whether rows were there under these keys that are not there any more; who notes by the row does not say.
ALTER TABLE {kernel}.captures ADD COLUMN IF NOT EXISTS is_gone boolean NOT NULL DEFAULT true;

-- Notes the keys of the rows that a statement changed, in one row, and in another those it took away; its
-- arguments are the table's name, the tenant and what makes a key of a row t.
CREATE OR REPLACE FUNCTION {kernel}.note_changes() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  old_keys text := format('SELECT jsonb_build_object(%s) AS key FROM old_rows t WHERE t.tenant_id = $1', TG_ARGV[2]);
  new_keys text := format('SELECT jsonb_build_object(%s) AS key FROM new_rows t WHERE t.tenant_id = $1', TG_ARGV[2]);
  note text := 'INSERT INTO {kernel}.captures (tenant_id, table_name, is_gone, key) '
               'SELECT $1, $2, $3, jsonb_agg(c.key) FROM (%s) c HAVING count(*) > 0';
BEGIN
  IF TG_OP <> 'DELETE' THEN
    EXECUTE format(note, new_keys) USING TG_ARGV[1]::uuid, TG_ARGV[0], false;
  END IF;
  IF TG_OP <> 'INSERT' THEN
    EXECUTE format(note, CASE TG_OP WHEN 'DELETE' THEN old_keys ELSE old_keys || ' EXCEPT ' || new_keys END)
    USING TG_ARGV[1]::uuid, TG_ARGV[0], true;
  END IF;
  RETURN NULL;
END $$;

-- Begins to note a tenant's changes in a table; only its owner can. What was begun by the row goes on so.
CREATE OR REPLACE FUNCTION {kernel}.watch(wanted regclass, told text, whose uuid) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
  operation text;
BEGIN
  FOREACH operation IN ARRAY ARRAY['insert', 'update', 'delete'] LOOP
    EXECUTE format(
      'CREATE OR REPLACE TRIGGER %I AFTER %s ON %s REFERENCING %s FOR EACH STATEMENT '
      'EXECUTE FUNCTION {kernel}.note_changes(%L, %L, %L)',
      'move_' || operation || '_' || replace(whose::text, '-', ''), operation, wanted,
      CASE operation WHEN 'insert' THEN 'NEW TABLE AS new_rows'
                     WHEN 'delete' THEN 'OLD TABLE AS old_rows'
                     ELSE 'OLD TABLE AS old_rows NEW TABLE AS new_rows' END,
      told, whose, {kernel}.key_list(wanted, '%1$L, t.%1$I', ', '));
  END LOOP;
END $$;

-- The rows of a tenant that have one of the given keys, each with the key as it was given.
CREATE OR REPLACE FUNCTION {kernel}.lines_of(wanted regclass, whose uuid, keys jsonb)
RETURNS TABLE (line text, key jsonb) LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN QUERY EXECUTE format(
    'SELECT t::text, g.key FROM jsonb_array_elements($2) AS g(key) '
    'CROSS JOIN LATERAL jsonb_to_record(g.key) AS k(%s) JOIN %s t ON %s WHERE t.tenant_id = $1',
    {kernel}.key_list(wanted, '%1$I %2$s', ', '), wanted, {kernel}.key_match(wanted))
  USING whose, keys;
END $$;

-- Replaces what a tenant has under keys by the given rows, in one statement: so neither a unique value
-- that wandered from one row to another nor a row that others refer to stands in the way.
CREATE OR REPLACE FUNCTION {kernel}.put_lines(wanted regclass, whose uuid, keys jsonb, lines text[])
RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  columns text := (SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute
                   WHERE attrelid = wanted AND attnum > 0 AND NOT attisdropped AND attgenerated = '');
  written bigint;
BEGIN
  EXECUTE format(
    'WITH gone AS (DELETE FROM %1$s t USING %4$s WHERE t.tenant_id = $1 AND %2$s RETURNING 1) '
    'INSERT INTO %1$s (%3$s) OVERRIDING SYSTEM VALUE SELECT %3$s FROM unnest($3::%1$s[]) '
    'WHERE tenant_id = $1 AND (SELECT count(*) FROM gone) >= 0',
    wanted, {kernel}.key_match(wanted), columns, {kernel}.key_rows(wanted))
  USING whose, keys, lines;
  GET DIAGNOSTICS written = ROW_COUNT;
  RETURN written;
END $$;

-- How many rows a tenant has, all or of the given keys, and the sum of their hashes.
CREATE OR REPLACE FUNCTION {kernel}.weigh(wanted regclass, whose uuid, keys jsonb, OUT count bigint, OUT sum numeric)
LANGUAGE plpgsql STABLE AS $$
BEGIN
  EXECUTE format(
    'SELECT count(*), COALESCE(sum(hashtextextended(t::text, 0)::numeric), 0) FROM %s WHERE t.tenant_id = $1',
    CASE WHEN keys IS NULL THEN format('%s t', wanted)
         ELSE format('%s JOIN %s t ON %s', {kernel}.key_rows(wanted), wanted, {kernel}.key_match(wanted)) END)
  INTO count, sum USING whose, keys;
END $$;

-- Who writes for a tenant from outside is held up so long by each transaction, that its mover keeps up.
CREATE TABLE IF NOT EXISTS {kernel}.paces (
  tenant_id uuid PRIMARY KEY,
  held_s double precision NOT NULL CHECK (held_s BETWEEN 0 AND 5),
  until timestamptz NOT NULL
);
SELECT {kernel}.wall_transport('{kernel}.paces');

-- How far in the old home's log a mover has come that carries a tenant's events to here, so that another
-- one can go on from there.
CREATE TABLE IF NOT EXISTS {kernel}.carried (
  tenant_id uuid NOT NULL,
  topic text NOT NULL,
  partition smallint NOT NULL,
  xid xid8 NOT NULL,
  seq bigint NOT NULL,
  PRIMARY KEY (tenant_id, topic, partition)
);
SELECT {kernel}.wall_transport('{kernel}.carried');

-- Waits for as long; before the transaction has taken any lock, so that nobody waits for who waits.
CREATE OR REPLACE FUNCTION {kernel}.hold_up(whose uuid[]) RETURNS void LANGUAGE plpgsql VOLATILE AS $$
BEGIN
  IF EXISTS (SELECT FROM {kernel}.paces p WHERE p.tenant_id = ANY (whose)) THEN
    PERFORM pg_sleep(max(p.held_s)) FROM {kernel}.paces p
    WHERE p.tenant_id = ANY (whose) AND p.until > clock_timestamp();
  END IF;
END $$;
