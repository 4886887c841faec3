"""`serai tenant`: tenants, their homes, their keys, and everything that they have."""
