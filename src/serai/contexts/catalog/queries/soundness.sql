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
