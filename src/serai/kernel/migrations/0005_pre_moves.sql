-- What it takes to move a tenant to another home while it is served (ADR 0024).

-- Tenants that do not live here any more, or are about to leave: no transaction that writes is begun
-- for them. Whoever is leaving is so until a moment only; the mover who is slower has to begin again.
CREATE TABLE IF NOT EXISTS {kernel}.departures (
  tenant_id uuid PRIMARY KEY,
  state text NOT NULL CHECK (state IN ('leaving', 'away')),
  since timestamptz NOT NULL DEFAULT clock_timestamp(),
  until timestamptz NOT NULL,
  xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
  -- Events that some group had not heard when it left: those who read on here pass them by.
  unread uuid[] NOT NULL DEFAULT '{}'
);
SELECT {kernel}.wall_transport('{kernel}.departures');

-- The room of a tenant: who writes for it stands in there, so that a mover can wait until all are out.
CREATE OR REPLACE FUNCTION {kernel}.room(whose uuid) RETURNS integer LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$ SELECT hashtext(whose::text) & 31 $$;

-- Lets a transaction write for tenants, or refuses it as a whole. The lock comes first: a departure that
-- is not seen then is made by a mover who will wait for us. The directory writes for those away too.
CREATE OR REPLACE FUNCTION {kernel}.admit(whose uuid[], is_directory boolean) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  told text;
BEGIN
  PERFORM pg_advisory_xact_lock_shared(20024, r.room)
  FROM (SELECT DISTINCT {kernel}.room(t.id) AS room FROM unnest(whose) AS t(id) ORDER BY 1) r;
  IF NOT EXISTS (SELECT 1 FROM {kernel}.departures d WHERE d.tenant_id = ANY (whose)) THEN
    RETURN;
  END IF;
  -- Waits for a mover who is just making it final, and then sees that it is.
  DELETE FROM {kernel}.departures d
  WHERE d.tenant_id = ANY (whose) AND d.state = 'leaving' AND d.until <= clock_timestamp();
  SELECT string_agg(d.state || ' ' || d.tenant_id || ' ' || d.xid::text, ',') INTO told
  FROM {kernel}.departures d
  WHERE d.tenant_id = ANY (whose) AND NOT (is_directory AND d.state = 'away');
  IF told IS NOT NULL THEN
    RAISE EXCEPTION 'the tenant is moving' USING ERRCODE = 'SR001', DETAIL = told;
  END IF;
END $$;

-- The keys of rows that changed while their tenant is copied.
CREATE TABLE IF NOT EXISTS {kernel}.captures (
  tenant_id uuid NOT NULL,
  id bigint GENERATED ALWAYS AS IDENTITY,
  table_name text NOT NULL,
  key jsonb NOT NULL,
  PRIMARY KEY (tenant_id, id)
);
SELECT {kernel}.wall_transport('{kernel}.captures');

CREATE OR REPLACE FUNCTION {kernel}.key_columns(wanted regclass) RETURNS text[]
LANGUAGE sql STABLE AS $$
  SELECT array_agg(a.attname::text ORDER BY k.n)
  FROM pg_index i
  CROSS JOIN LATERAL unnest(i.indkey::smallint[]) WITH ORDINALITY AS k(attnum, n)
  JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
  WHERE i.indrelid = wanted AND i.indisprimary
$$;

-- The condition that a row t is the one of the key k, a JSON object.
CREATE OR REPLACE FUNCTION {kernel}.key_match(wanted regclass) RETURNS text LANGUAGE sql STABLE AS $$
  SELECT string_agg(
    format('t.%1$I = (k.key ->> %1$L)::%2$s', a.attname, format_type(a.atttypid, a.atttypmod)), ' AND ')
  FROM pg_attribute a
  WHERE a.attrelid = wanted AND a.attname::text = ANY ({kernel}.key_columns(wanted))
$$;

-- Notes the key of a changed row; its arguments are the table's name and the columns of its key.
CREATE OR REPLACE FUNCTION {kernel}.capture() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  columns text[] := TG_ARGV[1:];
BEGIN
  INSERT INTO {kernel}.captures (tenant_id, table_name, key)
  SELECT DISTINCT (r.value ->> 'tenant_id')::uuid, TG_ARGV[0],
         (SELECT jsonb_object_agg(c, r.value -> c) FROM unnest(columns) c)
  FROM unnest(ARRAY[
    CASE WHEN TG_OP <> 'INSERT' THEN to_jsonb(OLD) END,
    CASE WHEN TG_OP <> 'DELETE' THEN to_jsonb(NEW) END]) AS r(value)
  WHERE r.value IS NOT NULL;
  RETURN NULL;
END $$;

-- Begins and ends to note a tenant's changes in a table; only its owner can.
CREATE OR REPLACE FUNCTION {kernel}.watch(wanted regclass, told text, whose uuid) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
  arguments text := (SELECT string_agg(quote_literal(a), ', ')
                     FROM unnest(told || {kernel}.key_columns(wanted)) a);
  condition text;
  operation text;
BEGIN
  FOREACH operation IN ARRAY ARRAY['INSERT', 'UPDATE', 'DELETE'] LOOP
    condition := CASE operation WHEN 'INSERT' THEN 'NEW.tenant_id = %1$L'
                                WHEN 'DELETE' THEN 'OLD.tenant_id = %1$L'
                                ELSE 'OLD.tenant_id = %1$L OR NEW.tenant_id = %1$L' END;
    EXECUTE format(
      'CREATE OR REPLACE TRIGGER %I AFTER %s ON %s FOR EACH ROW WHEN (%s) EXECUTE FUNCTION {kernel}.capture(%s)',
      'move_' || lower(operation) || '_' || replace(whose::text, '-', ''), operation, wanted,
      format(condition, whose), arguments);
  END LOOP;
END $$;
CREATE OR REPLACE FUNCTION {kernel}.unwatch(wanted regclass, whose uuid) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
  operation text;
BEGIN
  FOREACH operation IN ARRAY ARRAY['insert', 'update', 'delete'] LOOP
    EXECUTE format('DROP TRIGGER IF EXISTS %I ON %s',
                   'move_' || operation || '_' || replace(whose::text, '-', ''), wanted);
  END LOOP;
END $$;

-- The next rows of a tenant as the text of their type, which loses nothing, each with its key.
CREATE OR REPLACE FUNCTION {kernel}.lines_after(wanted regclass, whose uuid, after jsonb, most integer)
RETURNS TABLE (line text, key jsonb) LANGUAGE plpgsql STABLE AS $$
DECLARE
  names text[] := {kernel}.key_columns(wanted);
  keys text := (SELECT string_agg(format('t.%I', n), ', ') FROM unnest(names) n);
  given text := (SELECT string_agg(format('($2 ->> %L)::%s', n, format_type(a.atttypid, a.atttypmod)), ', ' ORDER BY o)
                 FROM unnest(names) WITH ORDINALITY AS u(n, o)
                 JOIN pg_attribute a ON a.attrelid = wanted AND a.attname::text = u.n);
  built text := (SELECT string_agg(format('%1$L, t.%1$I', n), ', ') FROM unnest(names) n);
BEGIN
  RETURN QUERY EXECUTE format(
    'SELECT t::text, jsonb_build_object(%s) FROM %s t WHERE t.tenant_id = $1 %s ORDER BY %s LIMIT $3',
    built, wanted, CASE WHEN after IS NULL THEN '' ELSE format('AND (%s) > (%s)', keys, given) END, keys)
  USING whose, after, most;
END $$;

-- The rows of a tenant that have one of the given keys.
CREATE OR REPLACE FUNCTION {kernel}.lines_of(wanted regclass, whose uuid, keys jsonb)
RETURNS TABLE (line text, key jsonb) LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN QUERY EXECUTE format(
    'SELECT t::text, k.key FROM jsonb_array_elements($2) AS k(key) JOIN %s t ON %s WHERE t.tenant_id = $1 ORDER BY %s',
    wanted, {kernel}.key_match(wanted),
    (SELECT string_agg(format('t.%I', n), ', ') FROM unnest({kernel}.key_columns(wanted)) n))
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
    'WITH gone AS (DELETE FROM %1$s t USING jsonb_array_elements($2) AS k(key) WHERE t.tenant_id = $1 AND %2$s RETURNING 1) '
    'INSERT INTO %1$s (%3$s) OVERRIDING SYSTEM VALUE SELECT %3$s FROM unnest($3::%1$s[]) '
    'WHERE tenant_id = $1 AND (SELECT count(*) FROM gone) >= 0',
    wanted, {kernel}.key_match(wanted), columns)
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
         ELSE format('jsonb_array_elements($2) AS k(key) JOIN %s t ON %s', wanted, {kernel}.key_match(wanted)) END)
  INTO count, sum USING whose, keys;
END $$;

-- The hash of an event, without its place in the log, which is another in every home.
CREATE OR REPLACE FUNCTION {kernel}.event_hash(e {kernel}.outbox) RETURNS numeric LANGUAGE sql STABLE AS $$
  SELECT hashtextextended(ROW(e.topic, e.partition, e.tenant_id, e.event_id, e.type, e.key, e.occurred_at,
    e.correlation_id, e.causation_id, e.traceparent, e.data::text)::text, 0)::numeric
$$;
