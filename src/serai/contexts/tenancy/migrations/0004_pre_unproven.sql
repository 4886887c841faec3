-- A tenant that has signed up by itself is unproven until its owner has followed her mail, and expired if
-- she never does: what it has is swept away then. The new check holds for all that the old code writes.

ALTER TABLE {tenancy}.tenants DROP CONSTRAINT IF EXISTS tenants_state_check;
ALTER TABLE {tenancy}.tenants ADD CONSTRAINT tenants_state_check
  CHECK (state IN ('active', 'suspended', 'erasing', 'unproven', 'expired')) NOT VALID;
