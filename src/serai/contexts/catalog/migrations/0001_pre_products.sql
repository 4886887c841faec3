-- Products, what they are sold for, and the indexes that a search runs over.
--
-- The search has indexes of its own, in plain B-trees, and does not use tsvector or pg_trgm: their
-- operators are not leakproof, so behind row-level security PostgreSQL never uses a GIN or GiST
-- index for them and would read every product of the tenant instead.
--
-- An index beside the key says WHERE <its own column> IS NOT NULL, which always holds. So it is only
-- ever used by statements that compare that column: while a table is new and has no statistics, all
-- indexes look alike, and a lookup by id would be planned over any that begins with tenant_id.

CREATE SCHEMA IF NOT EXISTS {catalog};
GRANT USAGE ON SCHEMA {catalog} TO serai_app;

CREATE TABLE IF NOT EXISTS {catalog}.products (
  tenant_id uuid NOT NULL,
  product_id uuid NOT NULL,
  handle text COLLATE "C" NOT NULL CHECK (handle <> ''),
  title text NOT NULL CHECK (title <> ''),
  -- The folded title, cut: what a list by title is sorted by.
  title_key text COLLATE "C" NOT NULL,
  description text NOT NULL,
  status text NOT NULL CHECK (status IN ('draft', 'published', 'archived')),
  categories jsonb NOT NULL,
  -- json keeps the order of names; jsonb would not.
  facets json NOT NULL,
  media jsonb NOT NULL,
  option_names jsonb NOT NULL,
  version bigint NOT NULL CHECK (version > 0),
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  published_at timestamptz,
  PRIMARY KEY (tenant_id, product_id)
);
CREATE UNIQUE INDEX IF NOT EXISTS products_handle ON {catalog}.products (tenant_id, handle)
  WHERE handle IS NOT NULL;
CREATE INDEX IF NOT EXISTS products_newest ON {catalog}.products (tenant_id, status, product_id DESC)
  WHERE status IS NOT NULL;
CREATE INDEX IF NOT EXISTS products_title
  ON {catalog}.products (tenant_id, status, title_key, product_id DESC) WHERE title_key IS NOT NULL;
SELECT {kernel}.wall('{catalog}.products');

CREATE TABLE IF NOT EXISTS {catalog}.variants (
  tenant_id uuid NOT NULL,
  variant_id uuid NOT NULL,
  product_id uuid NOT NULL,
  sku text COLLATE "C" NOT NULL CHECK (sku <> ''),
  options json NOT NULL,
  barcode text,
  media jsonb NOT NULL,
  version bigint NOT NULL CHECK (version > 0),
  PRIMARY KEY (tenant_id, variant_id),
  FOREIGN KEY (tenant_id, product_id) REFERENCES {catalog}.products
);
CREATE UNIQUE INDEX IF NOT EXISTS variants_sku ON {catalog}.variants (tenant_id, sku)
  WHERE sku IS NOT NULL;
CREATE INDEX IF NOT EXISTS variants_product ON {catalog}.variants (tenant_id, product_id, variant_id)
  WHERE product_id IS NOT NULL;
SELECT {kernel}.wall('{catalog}.variants');

CREATE TABLE IF NOT EXISTS {catalog}.prices (
  tenant_id uuid NOT NULL,
  product_id uuid NOT NULL,
  variant_id uuid NOT NULL,
  currency text COLLATE "C" NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
  amount_minor bigint NOT NULL CHECK (amount_minor BETWEEN 0 AND 1000000000000),
  PRIMARY KEY (tenant_id, product_id, variant_id, currency),
  FOREIGN KEY (tenant_id, variant_id) REFERENCES {catalog}.variants
);
SELECT {kernel}.wall('{catalog}.prices');

-- The lowest and highest price of a product by currency, so that a list by price is read in order.
CREATE TABLE IF NOT EXISTS {catalog}.price_ranges (
  tenant_id uuid NOT NULL,
  product_id uuid NOT NULL,
  currency text COLLATE "C" NOT NULL,
  low_minor bigint NOT NULL,
  high_minor bigint NOT NULL CHECK (high_minor >= low_minor),
  PRIMARY KEY (tenant_id, product_id, currency)
);
CREATE INDEX IF NOT EXISTS price_ranges_up
  ON {catalog}.price_ranges (tenant_id, currency, low_minor, product_id DESC)
  WHERE low_minor IS NOT NULL;
CREATE INDEX IF NOT EXISTS price_ranges_down
  ON {catalog}.price_ranges (tenant_id, currency, low_minor DESC, product_id DESC)
  WHERE low_minor IS NOT NULL;
SELECT {kernel}.wall('{catalog}.price_ranges');

CREATE TABLE IF NOT EXISTS {catalog}.categories (
  tenant_id uuid NOT NULL,
  path text COLLATE "C" NOT NULL CHECK (path <> ''),
  name text NOT NULL,
  -- Empty for a root.
  parent text COLLATE "C" NOT NULL,
  created_at timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, path)
);
CREATE INDEX IF NOT EXISTS categories_parent ON {catalog}.categories (tenant_id, parent, path)
  WHERE parent IS NOT NULL;
SELECT {kernel}.wall('{catalog}.categories');

-- A product stands on the shelf of each of its categories and of all above them.
CREATE TABLE IF NOT EXISTS {catalog}.shelves (
  tenant_id uuid NOT NULL,
  path text COLLATE "C" NOT NULL,
  product_id uuid NOT NULL,
  PRIMARY KEY (tenant_id, path, product_id)
);
SELECT {kernel}.wall('{catalog}.shelves');

CREATE TABLE IF NOT EXISTS {catalog}.facets (
  tenant_id uuid NOT NULL,
  name text COLLATE "C" NOT NULL,
  value text COLLATE "C" NOT NULL,
  product_id uuid NOT NULL,
  PRIMARY KEY (tenant_id, name, value, product_id)
);
CREATE INDEX IF NOT EXISTS facets_product ON {catalog}.facets (tenant_id, product_id, name, value)
  WHERE product_id IS NOT NULL;
SELECT {kernel}.wall('{catalog}.facets');

-- The stems of a product's words, each with the weight of its weightiest place.
CREATE TABLE IF NOT EXISTS {catalog}.words (
  tenant_id uuid NOT NULL,
  stem text COLLATE "C" NOT NULL,
  product_id uuid NOT NULL,
  weight smallint NOT NULL,
  PRIMARY KEY (tenant_id, stem, product_id) INCLUDE (weight)
);
CREATE INDEX IF NOT EXISTS words_product ON {catalog}.words (tenant_id, product_id)
  WHERE product_id IS NOT NULL;
SELECT {kernel}.wall('{catalog}.words');

-- Every word that a product of the tenant ever had, and the threes of letters in those without a
-- digit: a misspelt word shares most of its threes with the right one.
CREATE TABLE IF NOT EXISTS {catalog}.vocabulary (
  tenant_id uuid NOT NULL,
  word text COLLATE "C" NOT NULL,
  stem text COLLATE "C" NOT NULL,
  PRIMARY KEY (tenant_id, word)
);
SELECT {kernel}.wall('{catalog}.vocabulary');

CREATE TABLE IF NOT EXISTS {catalog}.trigrams (
  tenant_id uuid NOT NULL,
  trigram text COLLATE "C" NOT NULL,
  word text COLLATE "C" NOT NULL,
  PRIMARY KEY (tenant_id, trigram, word)
);
SELECT {kernel}.wall('{catalog}.trigrams');
