-- A chain whose beginning retention has dropped can be written down in another home: there its first
-- link follows the anchor, which came before it. The application cannot add an anchor.

CREATE OR REPLACE FUNCTION {audit}.refuse_loose_links() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (
    -- Each row against the one before it in the same statement; only a first one is looked up.
    SELECT 1 FROM (
      SELECT n.tenant_id, n.seq, n.previous, lag(n.seq) OVER w AS seq_before, lag(n.hash) OVER w AS hash_before
      FROM added n WINDOW w AS (PARTITION BY n.tenant_id ORDER BY n.seq)
    ) a
    WHERE a.previous IS DISTINCT FROM
      CASE WHEN a.seq = 1 THEN decode(repeat('00', 32), 'hex')
           WHEN a.seq_before = a.seq - 1 THEN a.hash_before
           ELSE COALESCE(
             (SELECT e.hash FROM {audit}.entries e WHERE e.tenant_id = a.tenant_id AND e.seq = a.seq - 1),
             (SELECT x.hash FROM {audit}.anchors x WHERE x.tenant_id = a.tenant_id AND x.seq = a.seq - 1))
      END
  ) THEN
    RAISE EXCEPTION 'an entry of the audit trail does not follow the one before it'
      USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NULL;
END $$;
