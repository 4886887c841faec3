-- Whether roles give an account nothing, because one of them asks for a second factor that it has not.
CREATE OR REPLACE FUNCTION {identity}.lacks_factor(tenant uuid, account uuid, held text[])
RETURNS boolean LANGUAGE sql STABLE AS $$
  SELECT EXISTS (
    SELECT FROM {identity}.factor_roles r WHERE r.tenant_id = tenant AND r.role = ANY (held)
  ) AND NOT EXISTS (
    SELECT FROM {identity}.second_factors f
    WHERE f.tenant_id = tenant AND f.account_id = account AND f.confirmed_at IS NOT NULL
  ) AND NOT EXISTS (
    SELECT FROM {identity}.passkeys p WHERE p.tenant_id = tenant AND p.account_id = account
  )
$$;
REVOKE ALL ON FUNCTION {identity}.lacks_factor(uuid, uuid, text[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION {identity}.lacks_factor(uuid, uuid, text[]) TO serai_app;
-- What is a person's is found by her account when she is erased.
CREATE INDEX IF NOT EXISTS codes_account ON {identity}.codes (tenant_id, account_id);
CREATE INDEX IF NOT EXISTS devices_account ON {identity}.devices (tenant_id, account_id)
  WHERE account_id IS NOT NULL;
