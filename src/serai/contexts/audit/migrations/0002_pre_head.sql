-- Where one tenant's chain ends. The settings hold for this one statement: while the table is almost
-- empty, reading a tenant's part and sorting it looks as cheap as stepping to its end, and a plan
-- that was made then is kept while the table fills. The wall stands before it as before any other.
CREATE OR REPLACE FUNCTION {audit}.head_of(wanted uuid, OUT seq bigint, OUT hash bytea)
RETURNS SETOF record LANGUAGE sql STABLE ROWS 1
SET enable_sort = off SET enable_seqscan = off SET enable_bitmapscan = off
AS $$
  SELECT e.seq, e.hash FROM {audit}.entries e
  WHERE e.tenant_id = wanted ORDER BY e.seq DESC LIMIT 1
$$;
REVOKE ALL ON FUNCTION {audit}.head_of(uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION {audit}.head_of(uuid) TO serai_app;
