"""How the rest of the house reaches tenancy: keys are recognised, homes found, tenants made."""
