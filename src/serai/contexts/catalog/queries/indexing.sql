-- name: clear_price_ranges
-- Takes products out of the lists by price.
DELETE FROM {catalog}.price_ranges r
USING unnest($1::uuid[], $2::uuid[]) AS k(tenant_id, product_id)
WHERE r.tenant_id = k.tenant_id AND r.product_id = k.product_id;

-- name: fill_price_ranges
-- Puts products into the lists by price.
INSERT INTO {catalog}.price_ranges (tenant_id, product_id, currency, low_minor, high_minor)
SELECT n.tenant_id, n.product_id, n.currency, n.low_minor, n.high_minor
FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::bigint[], $5::bigint[])
  AS n(tenant_id, product_id, currency, low_minor, high_minor);

-- name: clear_shelves
-- Takes products off the shelves that they stood on.
DELETE FROM {catalog}.shelves s
USING unnest($1::uuid[], $2::uuid[], $3::text[]) AS k(tenant_id, product_id, path)
WHERE s.tenant_id = k.tenant_id AND s.path = k.path AND s.product_id = k.product_id;

-- name: fill_shelves
-- Puts products on their shelves.
INSERT INTO {catalog}.shelves (tenant_id, product_id, path)
SELECT n.tenant_id, n.product_id, n.path
FROM unnest($1::uuid[], $2::uuid[], $3::text[]) AS n(tenant_id, product_id, path);

-- name: clear_facets
-- Takes products out of their facets.
DELETE FROM {catalog}.facets f
USING unnest($1::uuid[], $2::uuid[]) AS k(tenant_id, product_id)
WHERE f.tenant_id = k.tenant_id AND f.product_id = k.product_id;

-- name: fill_facets
-- Puts products into their facets.
INSERT INTO {catalog}.facets (tenant_id, product_id, name, value)
SELECT n.tenant_id, n.product_id, n.name, n.value
FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[]) AS n(tenant_id, product_id, name, value);

-- name: clear_words
-- Makes products unknown to the search.
DELETE FROM {catalog}.words w
USING unnest($1::uuid[], $2::uuid[]) AS k(tenant_id, product_id)
WHERE w.tenant_id = k.tenant_id AND w.product_id = k.product_id;

-- name: fill_words
-- Makes products known to the search by their stems, and adds words that are new to the vocabulary.
WITH given AS MATERIALIZED (
  SELECT g.tenant_id, g.product_id, g.word, COALESCE(l.stems[1], g.word) AS stem, g.weight
  FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::smallint[])
         AS g(tenant_id, product_id, word, weight)
  CROSS JOIN LATERAL (SELECT ts_lexize('english_stem', g.word) AS stems) l
  -- Words such as `the` are kept where they weigh something, not where they only fill sentences.
  WHERE g.weight > 1 OR l.stems IS DISTINCT FROM '{}'
), filled AS (
  INSERT INTO {catalog}.words (tenant_id, stem, product_id, weight)
  SELECT tenant_id, stem, product_id, max(weight) FROM given GROUP BY 1, 2, 3
), unheard AS MATERIALIZED (
  SELECT DISTINCT g.tenant_id, g.word, g.stem FROM given g
  WHERE NOT EXISTS (SELECT 1 FROM {catalog}.vocabulary v
                    WHERE v.tenant_id = g.tenant_id AND v.word = g.word)
), learnt AS (
  INSERT INTO {catalog}.vocabulary (tenant_id, word, stem)
  SELECT tenant_id, word, stem FROM unheard ORDER BY tenant_id, word
  ON CONFLICT DO NOTHING
)
INSERT INTO {catalog}.trigrams (tenant_id, trigram, word)
SELECT DISTINCT u.tenant_id, substr('  ' || u.word || ' ', i, 3) AS trigram, u.word
FROM unheard u CROSS JOIN LATERAL generate_series(1, length(u.word) + 1) AS i
WHERE u.word !~ '[0-9]'
ORDER BY u.tenant_id, trigram, u.word
ON CONFLICT DO NOTHING;
