"""HTTP of identity: coming in, what is one's own, accounts of others, roles, and the key set."""
