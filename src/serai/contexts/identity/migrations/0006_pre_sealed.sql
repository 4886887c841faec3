-- Addresses and names rest sealed (ADR 0027), and what looks an account up is a keyed digest. What was
-- written before is in clear until the job `privacy.seal` has sealed it.

ALTER TABLE {identity}.mail_tokens ADD COLUMN IF NOT EXISTS subject uuid;
-- Only what is still in clear is in it.
CREATE INDEX IF NOT EXISTS accounts_clear ON {identity}.accounts (tenant_id, id) WHERE email LIKE '%@%';
