-- name: find_terms
-- Reads what the index knows of searched words: their stems, what begins with them, what is near.
WITH terms AS MATERIALIZED (
  SELECT t.n, t.word, COALESCE(l.stems[1], t.word) AS stem, COALESCE(l.stems = '{}', false) AS is_stop
  FROM unnest($2::text[]) WITH ORDINALITY AS t(word, n)
  CROSS JOIN LATERAL (SELECT ts_lexize('english_stem', t.word) AS stems) l
), known AS MATERIALIZED (
  SELECT t.n, t.word, t.stem, t.is_stop,
         EXISTS (SELECT 1 FROM {catalog}.words w
                 WHERE w.tenant_id = $1 AND w.stem = t.stem) AS is_known,
         ARRAY(SELECT v.stem FROM {catalog}.vocabulary v
               WHERE v.tenant_id = $1 AND length(t.word) >= $3
                 AND v.word > t.word AND v.word < t.word || U&'\+10FFFF'
                 AND EXISTS (SELECT 1 FROM {catalog}.words w
                             WHERE w.tenant_id = $1 AND w.stem = v.stem)
               ORDER BY v.word LIMIT $4) AS begun
  FROM terms t
), near AS MATERIALIZED (
  SELECT k.n, g.word FROM known k
  CROSS JOIN LATERAL (
    SELECT g.word FROM {catalog}.trigrams g
    WHERE g.tenant_id = $1 AND NOT k.is_known AND k.begun = '{}'
      AND g.trigram = ANY (ARRAY(SELECT substr('  ' || k.word || ' ', i, 3)
                                 FROM generate_series(1, length(k.word) + 1) AS i))
    GROUP BY g.word
    ORDER BY count(*)::real / (length(g.word) + length(k.word) + 2 - count(*)) DESC, g.word
    LIMIT $5
  ) g
)
SELECT k.word, k.stem, k.is_stop, k.is_known, k.begun,
       ARRAY(SELECT r.word FROM near r WHERE r.n = k.n ORDER BY r.word) AS near,
       ARRAY(SELECT (SELECT v.stem FROM {catalog}.vocabulary v
                     WHERE v.tenant_id = $1 AND v.word = r.word)
             FROM near r WHERE r.n = k.n ORDER BY r.word) AS near_stems
FROM known k
ORDER BY k.n;

-- name: walk_newest
-- Reads on in the list of products by age, the youngest first.
SELECT x.product_id, 0::bigint AS number, '' AS text
FROM unnest($2::text[]) AS s(status)
CROSS JOIN LATERAL (
  SELECT p.product_id FROM {catalog}.products p
  WHERE p.tenant_id = $1 AND p.status = s.status AND p.product_id < $3::uuid
  ORDER BY p.product_id DESC LIMIT $4
) x
ORDER BY x.product_id DESC LIMIT $4;

-- name: walk_shelf
-- Reads on in the list of a category's products by age, the youngest first.
SELECT s.product_id, 0::bigint AS number, '' AS text
FROM {catalog}.shelves s
WHERE s.tenant_id = $1 AND s.path = $3 AND s.product_id < $4::uuid
  AND EXISTS (SELECT 1 FROM {catalog}.products p
              WHERE p.tenant_id = $1 AND p.product_id = s.product_id AND p.status = ANY ($2::text[])
              OFFSET 0)
ORDER BY s.product_id DESC LIMIT $5;

-- name: walk_titles
-- Reads on in the list of products by title.
SELECT x.product_id, 0::bigint AS number, x.title_key AS text
FROM unnest($2::text[]) AS s(status)
CROSS JOIN LATERAL (
  SELECT p.product_id, p.title_key FROM {catalog}.products p
  WHERE p.tenant_id = $1 AND p.status = s.status AND p.title_key >= $3
    AND (p.title_key > $3 OR p.product_id < $4::uuid)
  ORDER BY p.title_key, p.product_id DESC LIMIT $5
) x
ORDER BY x.title_key, x.product_id DESC LIMIT $5;

-- name: walk_prices_up
-- Reads on in the list of products by their lowest price in a currency.
SELECT r.product_id, r.low_minor AS number, '' AS text
FROM {catalog}.price_ranges r
WHERE r.tenant_id = $1 AND r.currency = $3 AND r.low_minor >= $4
  AND (r.low_minor > $4 OR r.product_id < $5::uuid)
  AND EXISTS (SELECT 1 FROM {catalog}.products p
              WHERE p.tenant_id = $1 AND p.product_id = r.product_id AND p.status = ANY ($2::text[])
              OFFSET 0)
ORDER BY r.low_minor, r.product_id DESC LIMIT $6;

-- name: walk_prices_down
-- Reads on in the list of products by their lowest price in a currency, the dearest first.
SELECT r.product_id, -r.low_minor AS number, '' AS text
FROM {catalog}.price_ranges r
WHERE r.tenant_id = $1 AND r.currency = $3 AND r.low_minor <= -$4::bigint
  AND (r.low_minor < -$4::bigint OR r.product_id < $5::uuid)
  AND EXISTS (SELECT 1 FROM {catalog}.products p
              WHERE p.tenant_id = $1 AND p.product_id = r.product_id AND p.status = ANY ($2::text[])
              OFFSET 0)
ORDER BY r.low_minor DESC, r.product_id DESC LIMIT $6;

-- name: search_products
-- Finds products by words, category, facets and prices: a page in order and, if asked for, counts.
WITH hits AS (
  SELECT h.product_id, sum(h.points)::bigint AS points
  FROM (SELECT w.product_id, q.term, max(w.weight * q.factor) AS points
        FROM unnest($4::int[], $5::text[], $6::int[]) AS q(term, stem, factor)
        CROSS JOIN LATERAL (SELECT w.product_id, w.weight FROM {catalog}.words w
                            WHERE w.tenant_id = $1 AND w.stem = q.stem OFFSET 0) w
        WHERE $3 = 'words'
        GROUP BY w.product_id, q.term) h
  GROUP BY h.product_id
  HAVING count(*) = (SELECT count(DISTINCT q.term) FROM unnest($4::int[]) AS q(term))
), wanted AS MATERIALIZED (
  SELECT q.name, q.value FROM unnest($8::text[], $9::text[]) AS q(name, value)
), candidates AS (
  SELECT product_id, points FROM hits
  UNION ALL
  SELECT s.product_id, 0 FROM {catalog}.shelves s
  WHERE $3 = 'category' AND s.tenant_id = $1 AND s.path = $7
  UNION ALL
  -- The first facet alone: that a product meets the others too is asked of each below.
  SELECT DISTINCT f.product_id, 0 FROM wanted q
  CROSS JOIN LATERAL (SELECT f.product_id FROM {catalog}.facets f
                      WHERE f.tenant_id = $1 AND f.name = q.name AND f.value = q.value OFFSET 0) f
  WHERE $3 = 'facet' AND q.name = ($8::text[])[1]
  UNION ALL
  SELECT r.product_id, 0 FROM {catalog}.price_ranges r
  WHERE $3 = 'price' AND r.tenant_id = $1 AND r.currency = $10
    AND r.low_minor <= $12 AND r.high_minor >= $11
  UNION ALL
  SELECT p.product_id, 0 FROM {catalog}.products p
  WHERE $3 = 'all' AND p.tenant_id = $1 AND p.status = ANY ($2::text[])
), matched AS MATERIALIZED (
  SELECT c.product_id, m.met,
         CASE $13 WHEN 'price' THEN r.low_minor WHEN '-price' THEN -r.low_minor
                  WHEN 'relevance' THEN -c.points ELSE 0 END AS number,
         CASE $13 WHEN 'title' THEN p.title_key ELSE '' END AS text
  FROM candidates c
  -- LIMIT and OFFSET keep each of these a probe of an index, whatever the statistics say.
  CROSS JOIN LATERAL (
    SELECT p.title_key FROM {catalog}.products p
    WHERE p.tenant_id = $1 AND p.product_id = c.product_id AND p.status = ANY ($2::text[]) LIMIT 1
  ) p
  LEFT JOIN LATERAL (
    SELECT r.low_minor FROM {catalog}.price_ranges r
    WHERE r.tenant_id = $1 AND r.product_id = c.product_id AND r.currency = $10 LIMIT 1
  ) r ON true
  CROSS JOIN LATERAL (
    SELECT ARRAY(SELECT DISTINCT f.name FROM wanted q
                 JOIN {catalog}.facets f ON f.tenant_id = $1 AND f.product_id = c.product_id
                   AND f.name = q.name AND f.value = q.value) AS met
  ) m
  WHERE ($7::text IS NULL OR $3 = 'category'
         OR EXISTS (SELECT 1 FROM {catalog}.shelves s
                    WHERE s.tenant_id = $1 AND s.path = $7 AND s.product_id = c.product_id
                    OFFSET 0))
    AND ($10::text IS NULL OR ($11 <= 0 AND $12 = 9223372036854775807)
         OR EXISTS (SELECT 1 FROM {catalog}.prices x
                    WHERE x.tenant_id = $1 AND x.product_id = c.product_id AND x.currency = $10
                      AND x.amount_minor BETWEEN $11::bigint AND $12::bigint
                    OFFSET 0))
    AND ($13 NOT IN ('price', '-price') OR r.low_minor IS NOT NULL)
), chosen AS (
  SELECT product_id, number, text FROM matched
  WHERE cardinality(met) = (SELECT count(DISTINCT name) FROM wanted)
), page AS (
  SELECT product_id, number, text FROM chosen
  WHERE number > $14::bigint
     OR (number = $14::bigint AND (text COLLATE "C" > $15
                                   OR (text COLLATE "C" = $15 AND product_id < $16::uuid)))
  ORDER BY number, text COLLATE "C", product_id DESC LIMIT $18
), counts AS (
  SELECT f.name, f.value, count(*) AS count,
         row_number() OVER (PARTITION BY f.name ORDER BY count(*) DESC, f.value) AS place
  FROM matched m
  CROSS JOIN LATERAL (SELECT f.name, f.value FROM {catalog}.facets f
                      WHERE f.tenant_id = $1 AND f.product_id = m.product_id OFFSET 0) f
  WHERE $17 AND cardinality(m.met) + (f.name IN (SELECT name FROM wanted)
                                      AND f.name <> ALL (m.met))::int
                = (SELECT count(DISTINCT name) FROM wanted)
  GROUP BY f.name, f.value
)
SELECT product_id, number, text, NULL AS name, NULL AS value, 0::bigint AS count FROM page
UNION ALL
SELECT NULL, NULL, NULL, NULL, NULL, count(*) FROM chosen WHERE $17 HAVING $17
UNION ALL
(SELECT NULL, NULL, NULL, name, value, count FROM counts WHERE place <= $19
 ORDER BY name, place LIMIT $20);

-- name: find_handle
-- Finds the product with a handle, if it is in one of the given states.
SELECT p.product_id
FROM (SELECT p.product_id, p.status FROM {catalog}.products p
      WHERE p.tenant_id = $1 AND p.handle = $2 LIMIT 1) p
WHERE p.status = ANY ($3::text[]);
