-- Where keys come as arrays, LATERAL with LIMIT 1 makes each of them one probe of an index: a plain
-- join may be planned, while the table is small, as a comparison of every row with every key.

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
