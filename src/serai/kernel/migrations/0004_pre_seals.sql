-- The keys that seal what is personal (ADR 0027). A backup that leaves these two tables out, or whose
-- root keys were ended by a rotation since, holds nothing of a person that can be read.

-- One key a subject of a tenant, wrapped by a root key. Of the nil subject: what makes subjects of
-- addresses.
CREATE TABLE IF NOT EXISTS {kernel}.data_keys (
  tenant_id uuid NOT NULL,
  subject uuid NOT NULL,
  serial bytea NOT NULL CHECK (octet_length(serial) = 4),
  root integer NOT NULL CHECK (root > 0),
  wrapped bytea NOT NULL,
  made_at timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, subject)
);
-- The transport sees every tenant's, wrapped as they are: a rotation must not miss one.
SELECT {kernel}.wall_transport('{kernel}.data_keys');

-- The root keys belong to the installation: their tenant is the platform's own, nil. Each is wrapped by
-- a key that is not in the database.
CREATE TABLE IF NOT EXISTS {kernel}.root_keys (
  tenant_id uuid NOT NULL CHECK (tenant_id = '00000000-0000-0000-0000-000000000000'),
  number integer NOT NULL CHECK (number > 0),
  wrapped text NOT NULL,
  created_at timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, number)
);
SELECT {kernel}.wall('{kernel}.root_keys');
