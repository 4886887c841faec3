-- Where keys come as arrays, LATERAL with LIMIT 1 makes each of them one probe of an index: a plain
-- join may be planned, while the table is small, as a comparison of every row with every key.

-- name: lock_products
-- Locks products in the order of their ids.
SELECT p.product_id
FROM (SELECT k.tenant_id, k.product_id
      FROM unnest($1::uuid[], $2::uuid[]) AS k(tenant_id, product_id)
      ORDER BY k.tenant_id, k.product_id) k
CROSS JOIN LATERAL (
  SELECT p.product_id FROM {catalog}.products p
  WHERE p.tenant_id = k.tenant_id AND p.product_id = k.product_id
  LIMIT 1 FOR UPDATE
) p;

-- name: find_handle_owners
-- Finds which products have the given handles.
SELECT k.tenant_id, k.handle, p.product_id
FROM unnest($1::uuid[], $2::text[]) AS k(tenant_id, handle)
CROSS JOIN LATERAL (
  SELECT p.product_id FROM {catalog}.products p
  WHERE p.tenant_id = k.tenant_id AND p.handle = k.handle LIMIT 1
) p;

-- name: find_variant_owners
-- Finds which products have the given variants.
SELECT k.tenant_id, k.variant_id, v.product_id
FROM unnest($1::uuid[], $2::uuid[]) AS k(tenant_id, variant_id)
CROSS JOIN LATERAL (
  SELECT v.product_id FROM {catalog}.variants v
  WHERE v.tenant_id = k.tenant_id AND v.variant_id = k.variant_id LIMIT 1
) v;

-- name: find_sku_owners
-- Finds which products have the given SKUs.
SELECT k.tenant_id, k.sku, v.product_id
FROM unnest($1::uuid[], $2::text[]) AS k(tenant_id, sku)
CROSS JOIN LATERAL (
  SELECT v.product_id FROM {catalog}.variants v
  WHERE v.tenant_id = k.tenant_id AND v.sku = k.sku LIMIT 1
) v;

-- name: load_products
-- Reads products with their variants and prices; the caller has locked them or only looks.
SELECT p.tenant_id, p.product_id, p.handle, p.title, p.description, p.status, p.categories, p.facets,
       p.media, p.option_names, p.version, p.created_at, p.updated_at, p.published_at,
       ARRAY(SELECT json_build_object(
               'variant_id', v.variant_id, 'sku', v.sku, 'options', v.options,
               'barcode', v.barcode, 'media', v.media, 'version', v.version,
               'prices', (SELECT COALESCE(json_object_agg(r.currency, r.amount_minor), '{}')
                          FROM {catalog}.prices r
                          WHERE r.tenant_id = v.tenant_id AND r.product_id = v.product_id
                            AND r.variant_id = v.variant_id))
             FROM {catalog}.variants v
             WHERE v.tenant_id = p.tenant_id AND v.product_id = p.product_id
             ORDER BY v.variant_id) AS variants
FROM unnest($1::uuid[], $2::uuid[]) AS k(tenant_id, product_id)
CROSS JOIN LATERAL (
  SELECT * FROM {catalog}.products p
  WHERE p.tenant_id = k.tenant_id AND p.product_id = k.product_id LIMIT 1
) p;

-- name: insert_products
-- Adds products in the order of their handles, but for those whose handle is taken.
INSERT INTO {catalog}.products (tenant_id, product_id, handle, title, title_key, description, status,
  categories, facets, media, option_names, version, created_at, updated_at, published_at)
SELECT n.tenant_id, n.product_id, n.handle, n.title, n.title_key, n.description, n.status,
       n.categories, n.facets, n.media, n.option_names, n.version, n.created_at, n.updated_at,
       n.published_at
FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
            $8::jsonb[], $9::json[], $10::jsonb[], $11::jsonb[], $12::bigint[], $13::timestamptz[],
            $14::timestamptz[], $15::timestamptz[])
  AS n(tenant_id, product_id, handle, title, title_key, description, status, categories, facets,
       media, option_names, version, created_at, updated_at, published_at)
ORDER BY n.tenant_id, n.handle
ON CONFLICT (tenant_id, handle) WHERE handle IS NOT NULL DO NOTHING;

-- name: update_products
-- Writes what changed of products that the transaction has locked.
UPDATE {catalog}.products p
SET title = n.title, title_key = n.title_key, description = n.description, status = n.status,
    categories = n.categories, facets = n.facets, media = n.media, option_names = n.option_names,
    version = n.version, updated_at = n.updated_at, published_at = n.published_at
FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[],
            $7::jsonb[], $8::json[], $9::jsonb[], $10::jsonb[], $11::bigint[],
            $12::timestamptz[], $13::timestamptz[])
  AS n(tenant_id, product_id, title, title_key, description, status, categories, facets,
       media, option_names, version, updated_at, published_at)
WHERE p.tenant_id = n.tenant_id AND p.product_id = n.product_id;

-- name: insert_variants
-- Adds variants in the order of their SKUs, but for those whose SKU is taken.
INSERT INTO {catalog}.variants (tenant_id, variant_id, product_id, sku, options, barcode, media,
  version)
SELECT n.tenant_id, n.variant_id, n.product_id, n.sku, n.options, n.barcode, n.media, n.version
FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::json[], $6::text[], $7::jsonb[],
            $8::bigint[])
  AS n(tenant_id, variant_id, product_id, sku, options, barcode, media, version)
ORDER BY n.tenant_id, n.sku
ON CONFLICT (tenant_id, sku) WHERE sku IS NOT NULL DO NOTHING;

-- name: update_variants
-- Writes what changed of variants whose products the transaction has locked.
UPDATE {catalog}.variants v
SET options = n.options, barcode = n.barcode, media = n.media, version = n.version
FROM unnest($1::uuid[], $2::uuid[], $3::json[], $4::text[], $5::jsonb[], $6::bigint[])
  AS n(tenant_id, variant_id, options, barcode, media, version)
WHERE v.tenant_id = n.tenant_id AND v.variant_id = n.variant_id;

-- name: delete_prices
-- Takes away prices that variants no longer have.
DELETE FROM {catalog}.prices r
USING unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[])
  AS g(tenant_id, product_id, variant_id, currency)
WHERE r.tenant_id = g.tenant_id AND r.product_id = g.product_id AND r.variant_id = g.variant_id
  AND r.currency = g.currency;

-- name: put_prices
-- Writes prices that are new or differ.
INSERT INTO {catalog}.prices (tenant_id, product_id, variant_id, currency, amount_minor)
SELECT n.tenant_id, n.product_id, n.variant_id, n.currency, n.amount_minor
FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::bigint[])
  AS n(tenant_id, product_id, variant_id, currency, amount_minor)
ORDER BY n.tenant_id, n.product_id, n.variant_id, n.currency
ON CONFLICT (tenant_id, product_id, variant_id, currency)
DO UPDATE SET amount_minor = excluded.amount_minor;

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

-- name: insert_categories
-- Adds categories in the order of their paths, but for those that are there; returns the new ones.
INSERT INTO {catalog}.categories (tenant_id, path, name, parent, created_at)
SELECT n.tenant_id, n.path, n.name, n.parent, $5
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[]) AS n(tenant_id, path, name, parent)
WHERE NOT EXISTS (SELECT 1 FROM {catalog}.categories c
                  WHERE c.tenant_id = n.tenant_id AND c.path = n.path)
ORDER BY n.tenant_id, n.path
ON CONFLICT DO NOTHING
RETURNING tenant_id, path;

-- name: quote_skus
-- Reads state, title and price of each wanted SKU, in order, by three index probes.
SELECT p.status, p.title, r.amount_minor
FROM unnest($1::uuid[], $2::text[], $3::text[]) WITH ORDINALITY AS w(tenant_id, sku, currency, n)
LEFT JOIN LATERAL (
  SELECT v.product_id, v.variant_id FROM {catalog}.variants v
  WHERE v.tenant_id = w.tenant_id AND v.sku = w.sku LIMIT 1
) v ON true
LEFT JOIN LATERAL (
  SELECT p.status, p.title FROM {catalog}.products p
  WHERE p.tenant_id = w.tenant_id AND p.product_id = v.product_id LIMIT 1
) p ON true
LEFT JOIN LATERAL (
  SELECT r.amount_minor FROM {catalog}.prices r
  WHERE r.tenant_id = w.tenant_id AND r.product_id = v.product_id
    AND r.variant_id = v.variant_id AND r.currency = w.currency LIMIT 1
) r ON true
ORDER BY w.n;

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

-- name: list_summaries
-- Reads what a list shows of products, in the order given.
SELECT p.product_id, p.handle, p.title, p.status, p.categories, p.media ->> 0 AS picture, p.version,
       p.created_at, p.published_at,
       (SELECT count(*) FROM {catalog}.variants v
        WHERE v.tenant_id = $1 AND v.product_id = p.product_id) AS variant_count,
       ARRAY(SELECT json_build_object('currency', r.currency, 'low_minor', r.low_minor,
                                      'high_minor', r.high_minor)
             FROM {catalog}.price_ranges r
             WHERE r.tenant_id = $1 AND r.product_id = p.product_id
             ORDER BY r.currency) AS prices
FROM unnest($2::uuid[]) WITH ORDINALITY AS k(product_id, n)
CROSS JOIN LATERAL (
  SELECT * FROM {catalog}.products p
  WHERE p.tenant_id = $1 AND p.product_id = k.product_id LIMIT 1
) p
ORDER BY k.n;

-- name: list_product_variants
-- Reads the variants of products in the order in which they were added.
SELECT v.variant_id, v.product_id, v.sku, v.options, v.barcode, v.media, v.version,
       (SELECT COALESCE(json_object_agg(r.currency, r.amount_minor), '{}')
        FROM {catalog}.prices r
        WHERE r.tenant_id = $1 AND r.product_id = v.product_id
          AND r.variant_id = v.variant_id) AS prices
FROM unnest($2::uuid[]) AS k(product_id)
CROSS JOIN LATERAL (SELECT * FROM {catalog}.variants v
                    WHERE v.tenant_id = $1 AND v.product_id = k.product_id OFFSET 0) v
ORDER BY v.product_id, v.variant_id;

-- name: list_variants
-- Reads on in the list of variants by SKU.
SELECT v.variant_id, v.product_id, v.sku, v.options, v.barcode, v.media, v.version,
       (SELECT COALESCE(json_object_agg(r.currency, r.amount_minor), '{}')
        FROM {catalog}.prices r
        WHERE r.tenant_id = $1 AND r.product_id = v.product_id
          AND r.variant_id = v.variant_id) AS prices
FROM {catalog}.variants v
WHERE v.tenant_id = $1 AND v.sku > $3
  AND EXISTS (SELECT 1 FROM {catalog}.products p
              WHERE p.tenant_id = $1 AND p.product_id = v.product_id AND p.status = ANY ($2::text[])
              OFFSET 0)
ORDER BY v.sku LIMIT $4;

-- name: find_variants
-- Reads the variants with the given SKUs or ids whose products are in the given states, by SKU.
SELECT v.variant_id, v.product_id, v.sku, v.options, v.barcode, v.media, v.version,
       (SELECT COALESCE(json_object_agg(r.currency, r.amount_minor), '{}')
        FROM {catalog}.prices r
        WHERE r.tenant_id = $1 AND r.product_id = v.product_id
          AND r.variant_id = v.variant_id) AS prices
FROM (SELECT v.* FROM unnest($3::text[]) AS k(sku)
      CROSS JOIN LATERAL (SELECT * FROM {catalog}.variants v
                          WHERE v.tenant_id = $1 AND v.sku = k.sku LIMIT 1) v
      UNION ALL
      SELECT v.* FROM unnest($4::uuid[]) AS k(variant_id)
      CROSS JOIN LATERAL (SELECT * FROM {catalog}.variants v
                          WHERE v.tenant_id = $1 AND v.variant_id = k.variant_id LIMIT 1) v) v
WHERE EXISTS (SELECT 1 FROM {catalog}.products p
              WHERE p.tenant_id = $1 AND p.product_id = v.product_id AND p.status = ANY ($2::text[])
              OFFSET 0)
ORDER BY v.sku;

-- name: list_categories
-- Reads on in the list of categories by path.
SELECT c.path, c.name, c.parent, c.created_at FROM {catalog}.categories c
WHERE c.tenant_id = $1 AND c.path > $2
ORDER BY c.path LIMIT $3;

-- name: list_subcategories
-- Reads on in the list of the categories right below another, or of the roots.
SELECT c.path, c.name, c.parent, c.created_at FROM {catalog}.categories c
WHERE c.tenant_id = $1 AND c.parent = $2 AND c.path > $3
ORDER BY c.path LIMIT $4;

-- name: check_for_sale
-- Lists published products of which no variant has a price.
SELECT p.product_id, p.handle FROM {catalog}.products p
WHERE p.tenant_id = $1 AND p.status = 'published'
  AND NOT EXISTS (SELECT 1 FROM {catalog}.prices r
                  WHERE r.tenant_id = $1 AND r.product_id = p.product_id OFFSET 0)
LIMIT $2;

-- name: check_variants
-- Lists variants without a product, and prices without a variant of their product.
SELECT v.sku, 'has no product' AS fault FROM {catalog}.variants v
WHERE v.tenant_id = $1
  AND NOT EXISTS (SELECT 1 FROM {catalog}.products p
                  WHERE p.tenant_id = $1 AND p.product_id = v.product_id OFFSET 0)
UNION ALL
SELECT r.variant_id::text, 'has a price under another product' FROM {catalog}.prices r
WHERE r.tenant_id = $1
  AND NOT EXISTS (SELECT 1 FROM {catalog}.variants v
                  WHERE v.tenant_id = $1 AND v.variant_id = r.variant_id
                    AND v.product_id = r.product_id OFFSET 0)
LIMIT $2;

-- name: check_price_ranges
-- Lists products whose place in the lists by price is not what their prices say.
SELECT COALESCE(a.product_id, b.product_id) AS product_id,
       COALESCE(a.currency, b.currency) AS currency
FROM (SELECT product_id, currency, min(amount_minor) AS low, max(amount_minor) AS high
      FROM {catalog}.prices WHERE tenant_id = $1 GROUP BY product_id, currency) a
FULL JOIN (SELECT product_id, currency, low_minor AS low, high_minor AS high
           FROM {catalog}.price_ranges WHERE tenant_id = $1) b
  ON a.product_id = b.product_id AND a.currency = b.currency
WHERE a.low IS DISTINCT FROM b.low OR a.high IS DISTINCT FROM b.high
LIMIT $2;

-- name: check_indexes
-- Lists products whose facets or categories are not what the search finds them by.
WITH said AS (
  SELECT p.product_id, f.name, v.value
  FROM {catalog}.products p
  CROSS JOIN LATERAL json_each(p.facets) AS f(name, found)
  CROSS JOIN LATERAL json_array_elements_text(f.found) AS v(value)
  WHERE p.tenant_id = $1
), listed AS (
  SELECT f.product_id, f.name, f.value FROM {catalog}.facets f WHERE f.tenant_id = $1
), placed AS (
  SELECT DISTINCT p.product_id, array_to_string(s.steps[1:i], ' > ') AS path
  FROM {catalog}.products p
  CROSS JOIN LATERAL jsonb_array_elements_text(p.categories) AS c(path)
  CROSS JOIN LATERAL (SELECT string_to_array(c.path, ' > ') AS steps) s
  CROSS JOIN LATERAL generate_series(1, cardinality(s.steps)) AS i
  WHERE p.tenant_id = $1
), standing AS (
  SELECT s.product_id, s.path FROM {catalog}.shelves s WHERE s.tenant_id = $1
)
SELECT product_id, 'facets' AS part
FROM ((TABLE said EXCEPT TABLE listed) UNION ALL (TABLE listed EXCEPT TABLE said)) x
UNION ALL
SELECT product_id, 'categories'
FROM ((TABLE placed EXCEPT TABLE standing) UNION ALL (TABLE standing EXCEPT TABLE placed)) y
UNION ALL
SELECT NULL, 'no category ' || path
FROM (SELECT path FROM placed EXCEPT
      SELECT c.path FROM {catalog}.categories c WHERE c.tenant_id = $1) z
LIMIT $2;
