-- Where keys come as arrays, LATERAL with LIMIT 1 makes each of them one probe of an index: a plain
-- join may be planned, while the table is small, as a comparison of every row with every key.

-- name: lock_skus
-- Keeps tenants' numbers of SKUs to this transaction until it ends; before any product is locked.
SELECT pg_advisory_xact_lock(hashtextextended('serai_catalog_skus ' || t.tenant_id::text, 0))
FROM (SELECT w.tenant_id FROM unnest($1::uuid[]) AS w(tenant_id) ORDER BY w.tenant_id OFFSET 0) AS t;

-- name: count_skus
-- Counts the SKUs that tenants have.
SELECT t.tenant_id, (
  SELECT count(*)::int FROM {catalog}.variants v WHERE v.tenant_id = t.tenant_id
) AS counted
FROM unnest($1::uuid[]) AS t(tenant_id);

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
